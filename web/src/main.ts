// Where does it all begin? The address is read, the manager is asked at once (before anything is drawn), then the
// page is wired and drawn: on every change, and four times a second for the numbers.
import { loadEngine } from "../sdk/src/wasm";
import { expose } from "./expose";
import { label } from "./page";
import { remember as rememberBandwidth } from "./player/guess";
import { readRoute } from "./route";
import { Session } from "./session";
import { isLive } from "./timeline";
import { keptWish } from "./wish";
import { drawBar, setUpBar } from "./ui/bar";
import { drawCard, setUpCard } from "./ui/card";
import { setUpDialogs } from "./ui/dialogs";
import { byId, setAttr, setText } from "./ui/dom";
import { isIdle, setUpIdle } from "./ui/idle";
import { setUpKeys } from "./ui/keys";
import { drawMesh, setUpMesh } from "./ui/mesh";
import { drawPanel, remember, setUpPanel } from "./ui/panel";
import { drawQuality, setUpQuality } from "./ui/quality";
import { drawSeek, setUpSeek } from "./ui/seek";

const DRAW_MS = 250;
/** While the controls have stepped back they are drawn every so many times. */
const QUIET_DRAWS = 4;
let quiet = 0;

const route = readRoute(location.href);
history.replaceState(null, "", route.cleanUrl);

const app = byId("app");
const stream = route.stream ?? "";
const player = import("./player/choose").then((module) => module.choosePlayer);
const session = new Session(stream, route.token, { p2p: route.p2p ?? keptWish(), record: route.record }, byId<HTMLVideoElement>("video"), byId<HTMLCanvasElement>("freeze"), player, draw);
if (route.stream) session.begin();
else session.dispatch({ is: "impossible", error: "bad_address" });
// Loaded, and made ready to run, while the manager is still asked.
if (route.stream && session.takes() !== "off") void loadEngine();

app.classList.toggle("embed", route.embed);
document.title = stream ? `${stream} · Trellis` : "Trellis";
setText(byId("title"), stream);
setUpCard(session);
setUpBar(session);
setUpSeek(session);
setUpQuality(session);
setUpPanel();
setUpMesh(session);
setUpDialogs(stream);
setUpKeys(session);
setUpIdle(session, byId("stage"));
expose(session);
draw();
window.setInterval(draw, DRAW_MS);
window.setInterval(() => remember(session.stats()), 1_000);
window.addEventListener("pagehide", () => {
  rememberBandwidth(session.player?.bandwidth() ?? null);
  session.player?.leave();
});

function draw(): void {
  const where = session.timeline();
  const stats = session.stats();
  setAttr(app, "data-state", label(session.page));
  setAttr(app, "data-picture", String(session.page.picture));
  setAttr(app, "data-live", String(isLive(where)));
  const idle = isIdle(session);
  app.classList.toggle("idle", idle);
  drawCard(session);
  // What hardly anybody looks at is not laid out four times a second.
  if (!idle || (quiet = (quiet + 1) % QUIET_DRAWS) === 0) {
    drawBar(session, where, stats);
    drawSeek(where);
    drawQuality(session);
  }
  drawPanel(stats, where.kind === "live", session.startupMs);
  drawMesh(stats.mesh);
}
