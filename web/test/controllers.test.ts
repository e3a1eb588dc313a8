// Does a removal from the buffer leave alone the part that is on its way into it? hls.js's own machinery, no network.
import Hls, { AttrList, Events, Fragment, Part, PlaylistLevelType, type BufferAppendedData } from "hls.js";
import { beforeAll, describe, expect, it } from "vitest";
import { AudioController, MainController } from "../src/player/controllers";

type Name = "video" | "audio";

const { MAIN, AUDIO } = PlaylistLevelType;
const STATS = { payload: new ArrayBuffer(0), networkDetails: null };

/** The media of a source buffer, as ranges of seconds. */
function ranges(...list: [number, number][]): TimeRanges {
  return { length: list.length, start: (i) => list[i]![0], end: (i) => list[i]![1] };
}

/** A segment from 58 s to 60 s of which part 0 is in the buffer and part 1 has just come. */
function halfWay(type: PlaylistLevelType, name: Name) {
  let controller!: { fragCurrent: Fragment | null; afterBufferFlushed(media: object, type: Name): void };
  const keep = <T extends new (...args: never[]) => object>(Its: T) =>
    class extends (Its as new (...args: never[]) => object) {
      constructor(...args: never[]) {
        super(...args);
        controller = this as unknown as typeof controller;
      }
    };
  const hls = new Hls(type === MAIN ? { streamController: keep(MainController) as never } : { audioStreamController: keep(AudioController!) as never });
  const segment = new Fragment(type, "http://edge/");
  Object.assign(segment, { sn: 7, level: 0, start: 58, duration: 2 });
  const part = (index: number) => new Part(new AttrList({ DURATION: "1", URI: `p${index}` }), segment as never, "http://edge/", index);
  const [first, second] = [part(0), part(1)];
  first.elementaryStreams = { audio: null, video: null, audiovideo: null, [name]: { startPTS: 58, endPTS: 59, startDTS: 58, endDTS: 59 } };
  hls.trigger(Events.FRAG_LOADED, { frag: segment, part: first, ...STATS });
  const appended = { type: name, frag: segment, part: first, parent: type, timeRanges: { [name]: ranges([0, 59]) } };
  hls.trigger(Events.BUFFER_APPENDED, appended as BufferAppendedData);
  hls.trigger(Events.FRAG_LOADED, { frag: segment, part: second, ...STATS });
  controller.fragCurrent = segment;
  return { first, flushed: (...left: [number, number][]) => controller.afterBufferFlushed({ buffered: ranges(...left) }, name) };
}

beforeAll(() => void Object.assign(globalThis, { self: globalThis }));

describe.each([[MAIN, "video"], [AUDIO, "audio"]] as [PlaylistLevelType, Name][])("%s", (type, name) => {
  it("keeps what it knows of a segment whose next part is on its way", () => {
    const { first, flushed } = halfWay(type, name);
    flushed([30, 59]);
    expect(first.loaded).toBe(true);
  });

  it("forgets it when nothing is left in the buffer", () => {
    const { first, flushed } = halfWay(type, name);
    flushed();
    expect(first.loaded).toBe(false);
  });
});
