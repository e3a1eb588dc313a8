// How does the last picture stay while the source is exchanged? Exchanging it empties the video element, so its last
// frame is copied to a canvas above it until the new source shows its first. Media Source media taints no canvas;
// where copying fails all the same, the picture is simply not kept.

export class Freeze {
  constructor(private readonly canvas: HTMLCanvasElement, private readonly video: HTMLVideoElement) {}

  hold(): void {
    const { canvas, video } = this;
    if (!video.videoWidth || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    try {
      canvas.getContext("2d")?.drawImage(video, 0, 0);
      canvas.hidden = false;
    } catch {
      canvas.hidden = true;
    }
  }

  release(): void {
    this.canvas.hidden = true;
  }
}
