// What do we say in each state, and what can be pressed? Every text says what happens next.
// Pure: a page in, words out. null means the picture speaks for itself.
import { label, type Page } from "./page";

export interface Words {
  title: string;
  text: string;
  /** What the server said, verbatim, when it helps somebody who knows more. */
  detail: string;
  button: string | null;
  /** `busy` turns, `wait` breathes, `stop` stands still. */
  tone: "busy" | "wait" | "stop";
  /** Show the seconds until the next try. */
  countdown: boolean;
}

export interface Facts {
  stream: string;
  /** There is something to watch again. */
  replay: boolean;
}

export function words(page: Page, facts: Facts): Words | null {
  const { stage } = page;
  switch (label(page)) {
    case "connecting":
      return say("Connecting", "The picture comes in a moment.", { tone: "busy" });
    case "waiting":
      return waiting(stage.at === "waiting" && stage.known, facts.stream);
    case "refused":
      return refused(stage.at === "refused" ? stage.error : "", page.detail);
    case "denied":
      return denied(stage.at === "denied" ? stage.error : "", page, facts.stream);
    case "lost":
      return lost(stage.at === "lost" ? stage.error : "", page);
    case "failed":
      return failed(stage.at === "failed" ? stage.error : "", page.detail);
    case "paused":
      return say("The publisher is away for a moment", "The last picture stays. It goes on by itself.", {});
    case "ended":
      return ended(page, facts.replay);
    default:
      return null; // playing, buffering, stopped and blocked have signs of their own
  }
}

/** For screen readers: every change of state in one short sentence. */
export function announcement(page: Page, facts: Facts): string {
  const said = words(page, facts);
  if (said) return `${said.title}. ${said.text}`;
  const plain = { playing: "Playing", buffering: "Buffering", stopped: "Paused", blocked: "Press play to start" };
  return plain[label(page) as keyof typeof plain] ?? "";
}

function waiting(known: boolean, stream: string): Words {
  if (known) return say("Not started yet", `Leave this page open: ${stream} starts here by itself.`, {});
  return say(`No stream is called “${stream}”`, "If the name is right, leave this page open: it starts here by itself once somebody publishes it.", {});
}

function refused(error: string, detail: string): Words {
  const more = { countdown: true, button: "Try now" } as const;
  if (error !== "no_capacity") return say("The server has no time just now", "This page asks again by itself.", { ...more, detail });
  return say("Every place is taken", "This page asks again by itself, and starts as soon as there is room.", more);
}

function denied(error: string, page: Page, stream: string): Words {
  // A token that was refused is forgotten, so there is nothing to try again with; a right may still be granted.
  const stop = { tone: "stop", detail: page.detail } as const;
  switch (error) {
    case "token_missing":
      return say("This stream needs an invitation", "Open it with the whole link you were given: your access is part of it.", stop);
    case "token_expired":
      return say("Your access has run out", "Ask whoever invited you for a new link, and open that one.", stop);
    case "token_invalid":
      return say("This link is not valid", "It may have been cut short on its way. Ask whoever sent it for a new one.", stop);
    default:
      return say("This link does not open this stream", `It is for something else. Ask for a link to ${stream}.`, { ...stop, button: "Try again" });
  }
}

function lost(error: string, page: Page): Words {
  const title = error === "manager_unreachable" ? "The server does not answer" : "The connection was lost";
  const text = page.picture ? "The last picture stays while this page reconnects." : "This page keeps trying by itself.";
  return say(title, text, { countdown: page.failures > 2, button: page.failures > 3 ? "Try now" : null, detail: page.detail, tone: "busy" });
}

function failed(error: string, detail: string): Words {
  const stop = { tone: "stop", button: "Try again", detail } as const;
  switch (error) {
    case "bad_address":
      return say("This address names no stream", "Names are small letters, digits, dots and dashes. Check the link.", { tone: "stop" });
    case "no_player":
      return say("This browser cannot play streams", "It has neither Media Source Extensions nor HLS. Use a current one.", { tone: "stop" });
    case "cannot_play":
      return say("The picture cannot be shown", "This browser gave up decoding it. Another browser may do better.", stop);
    default:
      return say("The server refused", "Reload the page; if it stays so, tell whoever runs this server.", stop);
  }
}

function ended(page: Page, replay: boolean): Words {
  const button = replay ? (page.picture ? "Watch again" : "Watch from the start") : null;
  if (page.publisher === "vod") return say("The end", "", { tone: "stop", button });
  return say("The stream has ended", "If it starts again, it plays here by itself.", { tone: "stop", button });
}

function say(title: string, text: string, more: Partial<Words>): Words {
  return { title, text, detail: "", button: null, tone: "wait", countdown: false, ...more };
}
