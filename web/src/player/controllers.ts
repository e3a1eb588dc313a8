// Where does hls.js 1.7.4 need help with low latency? Its two stream controllers (pictures, and sound of its own) are
// given here with one fault mended and one wait shortened; all else about them stays theirs.
import Hls, { Events, type Bufferable, type Fragment, type FragmentState, type FragmentTracker, type SourceBufferName } from "hls.js";

const Main = Hls.DefaultConfig.streamController;
const Audio = Hls.DefaultConfig.audioStreamController;
const APPENDING = "APPENDING" as FragmentState; // a const enum of theirs: its values cannot be imported

/**
 * After each removal from the buffer hls.js looks which segments are gone with it (`detectEvictedFragments`). It spares
 * a whole segment that has come and is not in the buffer yet, but not a part: then all parts of that segment are
 * marked as never loaded. Once the segment is complete, the buffer may end a rounding error before the segment does;
 * the same segment is chosen as the next, is there already, and while parts of it count as missing hls.js will not step
 * over it: nothing is asked for until its parts leave the playlist. The picture froze for five seconds.
 *
 * So while a part is on its way the look is left to the next removal. If nothing is left in the buffer there is
 * nothing to freeze, and hls.js must forget what it was appending.
 */
function looksLater(tracker: FragmentTracker, current: Fragment | null, { buffered }: Bufferable): boolean {
  return current !== null && buffered.length > 0 && tracker.getState(current) === APPENDING;
}

export class MainController extends Main {
  protected override afterBufferFlushed(media: Bufferable, type: SourceBufferName): void {
    if (!looksLater(this.fragmentTracker, this.fragCurrent, media)) super.afterBufferFlushed(media, type);
  }
}

/**
 * Live audio waits until the first video part has told where time begins. hls.js then finds out on its second regular
 * look, up to 200 ms later, and shows no frame before audio is there: half of a start-up. Here it looks at once.
 */
export const AudioController =
  Audio &&
  class extends Audio {
    protected override registerListeners(): void {
      super.registerListeners();
      this.hls.on(Events.INIT_PTS_FOUND, this.lookNow, this);
    }

    protected override unregisterListeners(): void {
      super.unregisterListeners();
      this.hls.off(Events.INIT_PTS_FOUND, this.lookNow, this);
    }

    protected override afterBufferFlushed(media: Bufferable, type: SourceBufferName): void {
      if (!looksLater(this.fragmentTracker, this.fragCurrent, media)) super.afterBufferFlushed(media, type);
    }

    private lookNow(): void {
      this.tick(); // stops waiting
      this.tick(); // starts loading
    }
  };
