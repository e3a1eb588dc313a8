// When may hls.js go up a rung? When the cluster has slots for it: it is asked first, and the player follows at the key frame
// from which on the engine brings the higher rung, so that nothing is loaded twice. Down it goes at once.
import Hls from "hls.js";
import type { Mesh } from "./mesh";
import { renditionOf } from "./urls";

const Abr = Hls.DefaultConfig.abrController;

export function grantedAbr(mesh: Mesh): typeof Abr {
  return class extends Abr {
    override get nextAutoLevel(): number {
      const wanted = super.nextAutoLevel;
      const now = this.hls?.loadLevel ?? -1;
      if (!mesh.plays || now < 0 || wanted < 0) return wanted;
      const names = this.hls.levels.map((level) => renditionOf(level.uri));
      // Estimates waver; what was asked for and granted is taken up.
      const granted = names.findIndex((name) => name !== null && name === mesh.granted);
      if (granted > now) return granted;
      const above = names[wanted];
      if (wanted <= now || !above) return wanted;
      mesh.wishes(above);
      return now;
    }

    override set nextAutoLevel(level: number) {
      super.nextAutoLevel = level;
    }
  };
}
