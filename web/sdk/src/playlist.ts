// How does a viewer who has just come keep what was before? The engine lists what is here, from the segment in which it
// joined; what is older stands in the edge's playlist, which was read at the start. Text before text makes one playlist.
// Pure. Both come from the same writer (`crates/media`), so a segment's lines are the same in both.

/** Below this many whole segments players take a playlist for broken. */
const WHOLE_MIN = 1;

/** null: there is a hole between the two, or nothing to play: the edge has to be asked. */
export function splice(history: string | null, here: string, windowS: number): string | null {
  const now = parse(here);
  if (!now) return null;
  const then = history === null ? null : parse(history);
  const older = then && then.first < now.first ? then.segments.slice(0, now.first - then.first) : [];
  if (then && then.first < now.first && older.length < now.first - then.first) return null;
  if (older.length + now.segments.length < WHOLE_MIN) return null;
  const kept = within(older, now, windowS);
  if (kept.length === 0) return now.segments.length < WHOLE_MIN ? null : here;
  const first = now.first - kept.length;
  const lead = [...now.head].map((line) => headLine(line, first, then));
  const turns = mapOf(kept) !== null && mapOf(now.all) !== null && mapOf(kept) !== mapOf(now.all);
  const body = turns ? ["#EXT-X-DISCONTINUITY", ...now.body] : now.body;
  return [...lead, ...withMap(kept, then), ...body].join("\n");
}

interface Segment {
  lines: string[];
  seconds: number;
}

interface Parsed {
  head: string[];
  first: number;
  /** Whole ones. */
  segments: Segment[];
  /** The same, and what is open after them, as text. */
  body: string[];
  all: Segment[];
  discontinuity: string;
}

/** Parts are listed of the newest segments only, as the edge has it: three target durations. */
const PARTS_S = 6;

/** What is older than the stream's window goes, and parts with it that have become old. */
function within(older: Segment[], now: Parsed, windowS: number): Segment[] {
  let seconds = now.segments.reduce((sum, segment) => sum + segment.seconds, 0);
  const kept: Segment[] = [];
  for (let at = older.length - 1; at >= 0 && seconds < windowS; at -= 1) {
    const { lines, seconds: long } = older[at] as Segment;
    const withParts = seconds < PARTS_S;
    kept.unshift({ lines: withParts ? lines : lines.filter((line) => !line.startsWith(PART)), seconds: long });
    seconds += long;
  }
  return kept;
}

function parse(text: string): Parsed | null {
  const lines = text.split("\n");
  const first = Number(lines.find((line) => line.startsWith(SEQUENCE))?.slice(SEQUENCE.length));
  const start = lines.findIndex((line) => line.startsWith(MAP) || line === "#EXT-X-DISCONTINUITY");
  if (!Number.isSafeInteger(first) || start < 0) return null;
  const body = lines.slice(start);
  const segments: Segment[] = [];
  let open: Segment = { lines: [], seconds: 0 };
  for (const line of body) {
    // A map is said again where it is needed.
    open.lines.push(line);
    if (line.startsWith("#EXTINF:")) open.seconds = Number.parseFloat(line.slice(8));
    if (line !== "" && !line.startsWith("#")) {
      segments.push(open);
      open = { lines: [], seconds: 0 };
    }
  }
  const discontinuity = lines.find((line) => line.startsWith(TURNS)) ?? `${TURNS}0`;
  return { head: lines.slice(0, start), first, segments, body, all: [...segments, open], discontinuity };
}

function headLine(line: string, first: number, then: Parsed | null): string {
  if (line.startsWith(SEQUENCE)) return `${SEQUENCE}${first}`;
  return line.startsWith(TURNS) && then ? then.discontinuity : line;
}

/** The first init segment's name among these, which is the run's, too. */
function mapOf(segments: Segment[]): string | null {
  for (const { lines } of segments) {
    const map = lines.find((line) => line.startsWith(MAP));
    if (map) return map;
  }
  return null;
}

/** What was cut off the front may have said which init segment applies. */
function withMap(kept: Segment[], then: Parsed | null): string[] {
  const lines = kept.flatMap((segment) => segment.lines);
  const map = then && mapOf(then.segments);
  return map && !lines[0]?.startsWith(MAP) ? [map, ...lines] : lines;
}

const SEQUENCE = "#EXT-X-MEDIA-SEQUENCE:";
const TURNS = "#EXT-X-DISCONTINUITY-SEQUENCE:";
const MAP = "#EXT-X-MAP:";
const PART = "#EXT-X-PART:";

/** What a multivariant playlist offers: renditions by name, videos and sounds apart. */
export function ladder(text: string): { videos: string[]; audios: string[] } {
  const names = new Set([...text.matchAll(/\b([va]\d{1,2})\.m3u8/g)].map((match) => match[1] ?? ""));
  const of = (kind: string) => [...names].filter((name) => name.startsWith(kind)).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  return { videos: of("v"), audios: of("a") };
}
