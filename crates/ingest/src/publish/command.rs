//! With which arguments does ffmpeg turn the source into what the origin takes? A pure function.

use super::ladder::{Rung, rungs};
use super::probe::{Probe, Video};
use super::{Input, Mode, Options, clock};

/// ffmpeg's arguments: from the input to one fragmented MP4 on standard output, progress on standard error.
/// `from_s` skips so many seconds of a file, for publishing on after a lost connection.
pub(super) fn args(options: &Options, probe: &Probe, from_s: f64) -> Vec<String> {
    let mut args = words("-hide_banner -nostdin -v warning -nostats -progress pipe:2 -stats_period 0.5");
    let audio_input = input(&mut args, options, probe, from_s);
    if options.copy {
        args.extend(words("-map 0:v:0? -map 0:a:0? -c copy"));
        copy_sound(&mut args, options, probe);
    } else {
        if let Some(video) = probe.video {
            encode_video(&mut args, options, probe, video);
        }
        if probe.audio != Some(false) {
            args.extend(words(&format!("-map {audio_input}:a:0?")));
            encode_sound(&mut args);
        }
    }
    // A fragment for each frame. Not by `frag_every_frame`: ffmpeg 5.1 then writes wrong decode times for tracks whose
    // frames arrive several at once. Copied AAC from MPEG-TS has its configuration only in its first packet: the
    // header must wait for it, which ffmpeg gets right only with fragments of some length.
    let (header, fragment_us) = if options.copy { ("delay_moov", 100_000) } else { ("empty_moov", 1) };
    args.extend(words(
        "-map_metadata -1 -sn -dn -max_muxing_queue_size 4096 -max_interleave_delta 2000000 -flush_packets 1",
    ));
    args.push("-movflags".into());
    args.push(format!("+{header}+default_base_moof+negative_cts_offsets+skip_trailer"));
    args.extend(words(&format!("-frag_duration {fragment_us} -f mp4 pipe:1")));
    args
}

/// Appends the input; returns the number of the input that has the sound.
fn input(args: &mut Vec<String>, options: &Options, probe: &Probe, from_s: f64) -> u32 {
    let source = match &options.input {
        Input::Media(source) => source,
        Input::Clock | Input::Clip => {
            args.extend(clock::input_args());
            return 1;
        }
    };
    let is_file = probe.seconds.is_some();
    if options.mode == Mode::Live && is_file {
        args.push("-re".into());
    }
    if options.looped {
        args.extend(words("-stream_loop -1"));
    } else if from_s > 0.0 && is_file {
        args.extend(["-ss".into(), format!("{from_s:.3}")]);
    }
    if let (Some(end_s), true, false) = (probe.pictures_end_s, options.copy, options.looped) {
        args.extend(["-t".into(), format!("{:.3}", (end_s - from_s).max(0.1))]);
    }
    args.extend(words("-fflags +genpts"));
    args.extend(["-i".into(), if source == "-" { "pipe:0".into() } else { source.clone() }]);
    0
}

/// MP4 wants the configuration of AAC beside the frames. What takes it out of ADTS frames is over, for ever, when a
/// loop's first pass is: there the sound is encoded anew. Of standard input nobody knows how its sound is framed.
fn copy_sound(args: &mut Vec<String>, options: &Options, probe: &Probe) {
    if probe.audio.is_none() || (probe.adts && options.looped) {
        encode_sound(args);
    } else if probe.adts {
        args.extend(words("-bsf:a aac_adtstoasc"));
    }
}

fn encode_sound(args: &mut Vec<String>) {
    args.extend(words("-c:a aac -b:a 128k -ac 2 -ar 48000"));
    // Fills gaps and follows a drifting sound card, so that sound stays with the pictures.
    args.extend(words("-af aresample=async=1000"));
}

fn encode_video(args: &mut Vec<String>, options: &Options, probe: &Probe, video: Video) {
    let (num, den) = video.fps;
    let rungs = &rungs(video.lines, fps(video.fps), options.lines_max);
    // Scales the shorter side, so that portrait video gets rungs like landscape.
    let outputs: String = (0..rungs.len()).map(|i| format!("[s{i}]")).collect();
    // A constant frame rate costs a frame of delay; the clock has one already.
    let constant = if options.input == Input::Clock { String::new() } else { format!("fps={num}/{den},") };
    // The last picture stays while the sound goes on.
    let stays = match (probe.pictures_end_s, probe.seconds) {
        (Some(end_s), Some(all_s)) => format!("tpad=stop_mode=clone:stop_duration={:.3},", all_s - end_s),
        _ => String::new(),
    };
    let mut graph = format!("[0:v:0]{constant}{stays}split={}{outputs}", rungs.len());
    for (i, Rung { lines, .. }) in rungs.iter().enumerate() {
        graph += &format!(
            ";[s{i}]scale=w='if(gte(iw\\,ih)\\,-2\\,{lines})':h='if(gte(iw\\,ih)\\,{lines}\\,-2)',format=yuv420p[v{i}]"
        );
    }
    args.extend(["-filter_complex".into(), graph]);
    for (i, Rung { kbps_max, .. }) in rungs.iter().enumerate() {
        let rate = format!("-map [v{i}] -crf:v:{i} 23 -maxrate:v:{i} {kbps_max}k -bufsize:v:{i} {kbps_max}k");
        args.extend(words(&rate));
    }
    let gop = (2 * num + den / 2) / den.max(1);
    let preset = options.preset.as_deref().unwrap_or(options.mode.preset());
    args.extend(words(&format!("-c:v libx264 -profile:v high -preset {preset} -bf 3 -g {gop} -keyint_min {gop}")));
    args.extend(["-x264-params".into(), options.mode.x264_params().into()]);
}

impl Mode {
    fn preset(self) -> &'static str {
        match self {
            Self::Live => "veryfast",
            Self::Vod => "fast",
        }
    }

    /// No keyframe but one every 2 s, no B-frame that others need; live, nothing that looks far ahead, and threads that
    /// share a frame instead of taking a frame each, which would cost a frame of delay per thread.
    fn x264_params(self) -> &'static str {
        match self {
            Self::Live => {
                "b-adapt=0:b-pyramid=none:scenecut=0:open-gop=0:rc-lookahead=5:sync-lookahead=0:mbtree=0:sliced-threads=1"
            }
            Self::Vod => "b-pyramid=none:scenecut=0:open-gop=0",
        }
    }
}

fn fps((num, den): (u32, u32)) -> f64 {
    f64::from(num) / f64::from(den.max(1))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn line(options: Options, probe: &Probe, from_s: f64) -> String {
        args(&options, probe, from_s).join(" ")
    }

    fn options(input: &str) -> Options {
        let target = Target { url: "http://origin".into(), stream: "s".into(), key: "k".into() };
        Options::new(Input::Media(input.into()), target)
    }

    fn file(lines: u32, fps: (u32, u32), audio: bool) -> Probe {
        Probe { audio: Some(audio), seconds: Some(60.0), ..Probe::of(Video { lines, fps }) }
    }

    #[test]
    fn a_live_ladder() {
        assert_eq!(
            line(options("in.mov"), &file(480, (30_000, 1001), true), 0.0),
            "-hide_banner -nostdin -v warning -nostats -progress pipe:2 -stats_period 0.5 \
             -re -fflags +genpts -i in.mov \
             -filter_complex [0:v:0]fps=30000/1001,split=2[s0][s1]\
             ;[s0]scale=w='if(gte(iw\\,ih)\\,-2\\,480)':h='if(gte(iw\\,ih)\\,480\\,-2)',format=yuv420p[v0]\
             ;[s1]scale=w='if(gte(iw\\,ih)\\,-2\\,240)':h='if(gte(iw\\,ih)\\,240\\,-2)',format=yuv420p[v1] \
             -map [v0] -crf:v:0 23 -maxrate:v:0 1200k -bufsize:v:0 1200k \
             -map [v1] -crf:v:1 23 -maxrate:v:1 350k -bufsize:v:1 350k \
             -c:v libx264 -profile:v high -preset veryfast -bf 3 -g 60 -keyint_min 60 \
             -x264-params b-adapt=0:b-pyramid=none:scenecut=0:open-gop=0:rc-lookahead=5:sync-lookahead=0:mbtree=0:sliced-threads=1 \
             -map 0:a:0? -c:a aac -b:a 128k -ac 2 -ar 48000 -af aresample=async=1000 \
             -map_metadata -1 -sn -dn -max_muxing_queue_size 4096 -max_interleave_delta 2000000 -flush_packets 1 \
             -movflags +empty_moov+default_base_moof+negative_cts_offsets+skip_trailer -frag_duration 1 -f mp4 pipe:1"
        );
    }

    #[test]
    fn pictures_that_end_before_the_sound() {
        let short = Probe { pictures_end_s: Some(8.0), ..file(240, (25, 1), true) };
        let encoded = line(options("in.mp4"), &short, 0.0);
        assert!(encoded.contains("[0:v:0]fps=25/1,tpad=stop_mode=clone:stop_duration=52.000,split="), "{encoded}");
        let copied = line(Options { copy: true, ..options("in.mp4") }, &short, 3.0);
        assert!(copied.contains("-ss 3.000 -t 5.000 "), "{copied}");
    }

    #[test]
    fn copies_loops_and_resumes() {
        let copy = Options { copy: true, looped: true, ..options("in.mkv") };
        let copied = line(copy, &file(720, (25, 1), true), 7.0);
        assert!(
            copied.contains(
                "-re -stream_loop -1 -fflags +genpts -i in.mkv -map 0:v:0? -map 0:a:0? -c copy -map_metadata "
            )
        );
        assert!(
            copied.contains("+delay_moov+default_base_moof+neg")
                && copied.contains("-frag_duration 100000 ")
                && !copied.contains("-ss")
        );
        let transport = Probe { adts: true, ..file(720, (25, 1), true) };
        let copy = Options { copy: true, ..options("in.ts") };
        assert!(line(copy.clone(), &transport, 0.0).contains("-c copy -bsf:a aac_adtstoasc -map_metadata"));
        // A filter does not live through a second pass.
        assert!(line(Options { looped: true, ..copy }, &transport, 0.0).contains("-c copy -c:a aac -b:a 128k"));
        let resumed = line(options("in.mkv"), &file(720, (25, 1), false), 7.0);
        assert!(resumed.contains("-re -ss 7.000 -fflags") && !resumed.contains("aac"));
        let vod = line(Options { mode: Mode::Vod, ..options("in.mkv") }, &file(720, (25, 1), true), 0.0);
        assert!(!vod.contains("-re") && vod.contains("-preset fast") && !vod.contains("lookahead"));
        let live_url = line(options("rtmp://x"), &Probe { seconds: None, ..file(720, (60, 1), true) }, 7.0);
        assert!(!live_url.contains("-re ") && !live_url.contains("-ss") && live_url.contains("-g 120 "));
        assert!(line(options("-"), &Probe::UNKNOWN, 0.0).contains("-i pipe:0"));
    }
}
