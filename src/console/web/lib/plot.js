// Small plots as inline SVG.

import { svg } from './element.js';

/** A line over its area. `values` are numbers; `label` is read by screen readers. */
export function sparkline(values, label, kind = 'accent') {
  const top = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${(34 - (value / top) * 30).toFixed(1)}`);
  return svg('svg', { viewBox: '0 0 100 36', preserveAspectRatio: 'none', role: 'img', 'aria-label': label, class: `plot ${kind}` },
    svg('polygon', { points: `0,36 ${points.join(' ')} 100,36` }),
    svg('polyline', { points: points.join(' '), fill: 'none', 'vector-effect': 'non-scaling-stroke' }));
}
