import { MIDDLEWARE, MIDDLEWARE_ON_NODE_REDIS, STORE, STORE_ON_NODE_REDIS } from "./names.js";

const OURS = [MIDDLEWARE, MIDDLEWARE_ON_NODE_REDIS, STORE, STORE_ON_NODE_REDIS];

const BAR = 18;
const GAP = 8;
const LEFT = 240;
const SCALE = 340;
const WIDTH = 680;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .name { text-anchor: end; }
  .ours { fill: #1a7f64; } .theirs { fill: #9aa4ae; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .ours { fill: #3fb998; } .theirs { fill: #6e7881; }
  }`;

/**
 * Draws a bar chart as SVG, for light and dark pages.
 * @param panels each `{ title, bars: { name, value, label, ours }[] }`
 */
export function chart(panels) {
  let y = 10;
  const parts = [];
  for (const { title, bars } of panels) {
    parts.push(`<text class="title" x="10" y="${y + 16}">${escapeXml(title)}</text>`);
    y += 32;
    const most = Math.max(...bars.map(({ value }) => value));
    for (const { name, value, label, ours } of bars) {
      const width = Math.max(2, (value / most) * SCALE).toFixed(1);
      const baseline = y + BAR - 5;
      parts.push(
        `<text class="name" x="${LEFT - 10}" y="${baseline}">${escapeXml(name)}</text>`,
        `<rect class="${ours ? "ours" : "theirs"}" x="${LEFT}" y="${y}" width="${width}" height="${BAR}" rx="3"/>`,
        `<text x="${(LEFT + Number(width) + 8).toFixed(1)}" y="${baseline}">${escapeXml(label)}</text>`,
      );
      y += BAR + GAP;
    }
    y += 18;
  }
  const size = `width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}"`;
  const title = panels.map(({ title }) => title).join("; ");
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escapeXml(title)}">
<style>${STYLE}
</style>
${parts.join("\n")}
</svg>
`;
}

/** The chart of the pages: requests a second, and the engine's speed relative to redis-sessions. */
export function panelsOf({ rows, measured }) {
  const reading = measured.find(({ work }) => work === "HTTP, read").medians;
  const http = Object.entries(reading)
    .sort(([, a], [, b]) => a.time - b.time)
    .map(([name, { time }]) => ({
      name,
      value: 1e6 / time,
      label: Math.round(1e6 / time).toLocaleString("en"),
      ours: OURS.includes(name),
    }));
  const engine = rows
    .filter(({ suite, better }) => suite === "engine" && better === "more")
    .map(({ work, ratio }) => ({
      name: work,
      value: Math.min(ratio.median, 12),
      label: `${ratio.median.toFixed(1)} ×`,
      ours: true,
    }));
  return [
    { title: "Express 5, session read on each request: requests a second", bars: http },
    { title: "Engine: times as fast as redis-sessions 4 (bars end at 12)", bars: engine },
  ];
}

function escapeXml(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
