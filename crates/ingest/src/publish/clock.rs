//! What time is it, for people and for machines? A live source that shows the wall clock, to measure latency with.
//!
//! Above the time in UTC stands a strip of [`STRIP_BITS`] blocks, black for 0 and white for 1, most significant bit
//! first: the milliseconds since the Unix epoch at which the frame was made.

/// Picture size and rate of the source.
pub const SIZE: (u32, u32) = (1280, 720);
/// Frames per second.
pub const FPS: u32 = 30;
/// Blocks of the strip.
pub const STRIP_BITS: u32 = 48;
/// Left and upper edge of the strip (pixels).
pub const STRIP_AT: (u32, u32) = (256, 48);
/// Width and height of one block (pixels).
pub const STRIP_BLOCK: (u32, u32) = (16, 32);

/// ffmpeg's arguments that open the source: input 0 has the picture, input 1 a beep each second.
pub fn input_args() -> Vec<String> {
    let (width, height) = SIZE;
    let (x, y) = STRIP_AT;
    let (block_width, block_height) = STRIP_BLOCK;
    let (top_bit, strip_width) = (STRIP_BITS - 1, STRIP_BITS * block_width);
    // Timestamps are the wall clock while the picture is drawn, and count frames again afterwards. Only the strip is
    // drawn pixel by pixel, the rest of the picture is put around it.
    let picture = format!(
        "color=c=black:s={strip_width}x{block_height}:r={FPS},format=yuv420p,settb=1/1000000,setpts=RTCTIME,\
         geq=lum='255*mod(floor(floor(T*1000+0.5)/pow(2,{top_bit}-floor(X/{block_width}))),2)':cb=128:cr=128,\
         pad={width}:{height}:{x}:{y}:color=0x101828,\
         drawtext=font=Mono:text='%{{pts\\:gmtime\\:0\\:%H\\\\\\:%M\\\\\\:%S}}.%{{eif\\:mod(floor(t*1000+0.5)\\,1000)\\:d\\:3}}':\
         fontsize=130:fontcolor=white:x=(w-tw)/2:y=280,\
         drawtext=font=Sans:text='%{{pts\\:gmtime\\:0\\:%Y-%m-%d}} UTC':fontsize=48:fontcolor=0x94a3b8:x=(w-tw)/2:y=470,\
         settb=1/{FPS},setpts=N"
    );
    let sound = "sine=frequency=220:beep_factor=4:sample_rate=48000,volume=0.1";
    // Without the bound ffmpeg makes eight frames in advance, which show a time that is not yet.
    let live = "-thread_queue_size 1 -re -f lavfi -i".split(' ').map(String::from);
    live.clone().chain([picture]).chain(live).chain([sound.to_string()]).collect()
}

/// Reads the strip from a row of luma across the middle of the strip, of a picture `width` pixels wide (the source's
/// width or a rung's). Milliseconds since the Unix epoch.
pub fn read_strip(luma: &[u8], width: u32) -> Option<u64> {
    let scale = f64::from(width) / f64::from(SIZE.0);
    (0..STRIP_BITS).try_fold(0, |value, bit| {
        let centre = f64::from(STRIP_AT.0) + (f64::from(bit) + 0.5) * f64::from(STRIP_BLOCK.0);
        let luma = luma.get((centre * scale) as usize)?;
        Some(value << 1 | u64::from(*luma > 127))
    })
}
