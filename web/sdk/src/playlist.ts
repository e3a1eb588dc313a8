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
  const [oldest, newest] = [kept[0] as Segment, kept[kept.length - 1] as Segment];
  const lead = now.head.map((line) => headLine(line, now.first - kept.length, oldest.turn));
  const body = newest.turn === now.turn ? now.body : [TURN, ...now.body];
  return [...lead, ...withMap(kept), ...body].join("\n");
}

interface Segment {
  lines: string[];
  seconds: number;
  /** How many times the stream had begun anew before it. */
  turn: number;
  /** The line that names the init segment it needs, wherever that stands. */
  map: string | null;
}

interface Parsed {
  head: string[];
  first: number;
  /** Of the first segment. */
  turn: number;
  /** Whole ones. */
  segments: Segment[];
  /** The same, and what is open after them, as text. */
  body: string[];
}

/** Parts are listed of the newest segments only, as the edge has it: three target durations. */
const PARTS_S = 6;

/** What is older than the stream's window goes, and parts with it that have become old. */
function within(older: Segment[], now: Parsed, windowS: number): Segment[] {
  let seconds = now.segments.reduce((sum, segment) => sum + segment.seconds, 0);
  const kept: Segment[] = [];
  for (let at = older.length - 1; at >= 0 && seconds < windowS; at -= 1) {
    const segment = older[at] as Segment;
    const lines = seconds < PARTS_S ? segment.lines : segment.lines.filter((line) => !line.startsWith(PART));
    kept.unshift({ ...segment, lines });
    seconds += segment.seconds;
  }
  return kept;
}

function parse(text: string): Parsed | null {
  const lines = text.split("\n");
  const numberOf = (tag: string) => Number(lines.find((line) => line.startsWith(tag))?.slice(tag.length));
  const first = numberOf(SEQUENCE);
  const start = lines.findIndex((line) => line.startsWith(MAP) || line === TURN);
  if (!Number.isSafeInteger(first) || start < 0) return null;
  const body = lines.slice(start);
  const turn = numberOf(TURNS) || 0;
  return { head: lines.slice(0, start), first, turn, segments: segmentsOf(body, turn), body };
}

function segmentsOf(body: string[], turn: number): Segment[] {
  const segments: Segment[] = [];
  let open: Segment = { lines: [], seconds: 0, turn, map: null };
  for (const line of body) {
    open.lines.push(line);
    if (line === TURN) open.turn += 1;
    if (line.startsWith(MAP)) open.map = line;
    if (line.startsWith("#EXTINF:")) open.seconds = Number.parseFloat(line.slice(8));
    if (line !== "" && !line.startsWith("#")) {
      segments.push(open);
      open = { ...open, lines: [], seconds: 0 };
    }
  }
  return segments;
}

function headLine(line: string, first: number, turn: number): string {
  if (line.startsWith(SEQUENCE)) return `${SEQUENCE}${first}`;
  return line.startsWith(TURNS) ? `${TURNS}${turn}` : line;
}

/** What was cut off the front may have said which init segment applies; that it begins anew there, the head says. */
function withMap(kept: Segment[]): string[] {
  const lines = kept.flatMap((segment) => segment.lines);
  if (lines[0] === TURN) lines.shift();
  const map = kept[0]?.map;
  return map && !lines[0]?.startsWith(MAP) ? [map, ...lines] : lines;
}

const SEQUENCE = "#EXT-X-MEDIA-SEQUENCE:";
const TURNS = "#EXT-X-DISCONTINUITY-SEQUENCE:";
const TURN = "#EXT-X-DISCONTINUITY";
const MAP = "#EXT-X-MAP:";
const PART = "#EXT-X-PART:";

/** What a multivariant playlist offers: renditions by name, videos and sounds apart. */
export function ladder(text: string): { videos: string[]; audios: string[] } {
  const names = new Set([...text.matchAll(/\b([va]\d{1,2})\.m3u8/g)].map((match) => match[1] ?? ""));
  const of = (kind: string) => [...names].filter((name) => name.startsWith(kind)).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  return { videos: of("v"), audios: of("a") };
}
