"""How does offload go with the number of viewers? One picture of all runs, beside the most that there could be, 1 - 1/N."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 56, 150, 24, 48
COLOURS = {"mesh": "#1b9e77", "native": "#7570b3", "incumbent": "#d95f02", "plain": "#808080"}


def offload(results):
    """SVG: a point per run, a line per engine through its runs of the cases `steady…` and `natives…`; empty if nothing was measured."""
    runs = [(key.split("/"), result) for key, result in results.items() if result.get("offload") is not None]
    if not runs:
        return ""
    most = max([2, *(result["pages"] for _, result in runs)])
    x = lambda n: LEFT + (WIDTH - LEFT - RIGHT) * (n - 1) / (most - 1)
    y = lambda share: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1, max(0, share))
    line = lambda points, style: f'<polyline fill="none" {style} points="{" ".join(f"{x(n):.1f},{y(share):.1f}" for n, share in points)}"/>'
    parts = [text(LEFT - 8, y(share) + 4, f"{share:.0%}", "end") for share in (0, 0.25, 0.5, 0.75, 1)]
    parts += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(share)}" y2="{y(share)}" stroke="#8884"/>' for share in (0, 0.25, 0.5, 0.75, 1)]
    parts += [text(x(n), HEIGHT - BOTTOM + 18, n, "middle") for n in sorted({1, most, *(result["pages"] for _, result in runs)})]
    parts += [text(x((1 + most) / 2), HEIGHT - 10, "viewers of one edge", "middle"), text(4, 14, "offload, steady")]
    parts.append(line([(n / 4, 1 - 4 / n) for n in range(4, 4 * most + 1)], 'stroke="#888" stroke-dasharray="4 4"'))
    parts.append(text(WIDTH - RIGHT + 8, y(1 - 1 / most) + 4, "ceiling, 1 - 1/N"))
    for place, engine in enumerate(sorted({engine for (_, engine), _ in runs})):
        colour = COLOURS[engine]
        its = sorted((result["pages"], result["offload"], case) for (case, other), result in runs if other == engine)
        parts.append(line([(n, share) for n, share, case in its if case.startswith(("steady", "natives"))], f'stroke="{colour}" stroke-width="2"'))
        parts += [f'<circle cx="{x(n):.1f}" cy="{y(share):.1f}" r="4" fill="{colour}"><title>{case}, {engine}, {n}: {share:.1%}</title></circle>' for n, share, case in its]
        parts.append(f'<circle cx="{WIDTH - RIGHT + 14}" cy="{HEIGHT / 2 + 20 * place}" r="4" fill="{colour}"/>')
        parts.append(text(WIDTH - RIGHT + 24, HEIGHT / 2 + 4 + 20 * place, engine))
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#777">\n{body}\n</svg>\n'


def text(x, y, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
