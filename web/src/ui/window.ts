// How does the picture leave the page: full screen and picture in picture? Neither may exist; iPhones know only
// full screen of the video element itself.

type AppleVideo = HTMLVideoElement & { webkitEnterFullscreen?: () => void };

export function canFull(video: HTMLVideoElement): boolean {
  return document.fullscreenEnabled || "webkitEnterFullscreen" in video;
}

export function isFull(): boolean {
  return document.fullscreenElement !== null && document.fullscreenElement !== undefined;
}

export async function toggleFull(video: HTMLVideoElement): Promise<void> {
  try {
    if (isFull()) await document.exitFullscreen();
    else if (document.fullscreenEnabled) await fill(video);
    else (video as AppleVideo).webkitEnterFullscreen?.();
  } catch {
    // Refused by the browser or by the page around us: the button simply has no effect.
  }
}

/** A phone held upright turns a wide picture on its side, where it is let to. */
async function fill(video: HTMLVideoElement): Promise<void> {
  await document.documentElement.requestFullscreen();
  const turning = screen.orientation as { lock?: (to: string) => Promise<void> } | undefined;
  if (video.videoWidth > video.videoHeight) await turning?.lock?.("landscape");
}

export function canPip(video: HTMLVideoElement): boolean {
  return Boolean(document.pictureInPictureEnabled) && !video.disablePictureInPicture;
}

export async function togglePip(video: HTMLVideoElement): Promise<void> {
  try {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await video.requestPictureInPicture();
  } catch {
    // As above: refused, or there is no picture yet.
  }
}
