/**
 * The nearest of some points in the plane, in logarithmic time whatever their shape.
 *
 * A k-d tree over static points whose nodes keep their bounding boxes: without them, a query far from points that lie on
 * one line visits nearly all of them.
 *
 * @module
 */

/** Points that share a leaf. */
const LEAF = 4;
/** A tree of 2³⁰ leaves is no deeper; each level leaves one sibling to visit. */
const MAX_DEPTH = 64;

/** Points by place, and the tree over them. */
export interface PointTree {
  /** Coordinates of point i at [2i] and [2i + 1]. */
  readonly points: Float64Array;
  /** Point numbers, so that every node has a run of them. */
  readonly order: Int32Array;
  /** [low x, low y, high x, high y] of each node; node i's children are 2i + 1 and 2i + 2. */
  readonly boxes: Float64Array;
  /** First place in `order` of each node; −1 where there is no node. */
  readonly starts: Int32Array;
  /** The place after its last one. */
  readonly ends: Int32Array;
}

/** Nodes that a search has yet to visit, and how far they are. Searches do not interleave: one stack is enough for all. */
const stack = new Int32Array(MAX_DEPTH);
const stackDistances = new Float64Array(MAX_DEPTH);

/** Builds the tree; `points` has x and y of each, and must not change afterwards. */
export function pointTree(points: Float64Array): PointTree {
  const count = points.length / 2;
  const nodes = 2 ** (Math.ceil(Math.log2(Math.max(1, count / LEAF))) + 1) - 1;
  const tree = {
    points,
    order: Int32Array.from({ length: count }, (_, i) => i),
    boxes: new Float64Array(4 * nodes),
    starts: new Int32Array(nodes).fill(-1),
    ends: new Int32Array(nodes),
  };
  if (count > 0) build(tree, 0, 0, count);
  return tree;
}

function build(tree: PointTree, node: number, start: number, end: number): void {
  const { points, order, boxes, starts, ends } = tree;
  starts[node] = start;
  ends[node] = end;
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = start; i < end; i++) {
    const [x, y] = [points[2 * order[i]], points[2 * order[i] + 1]];
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  boxes.set(box, 4 * node);
  if (end - start <= LEAF) return;
  const axis = box[2] - box[0] >= box[3] - box[1] ? 0 : 1;
  order.subarray(start, end).sort((a, b) => points[2 * a + axis] - points[2 * b + axis] || a - b);
  const middle = (start + end) >>> 1;
  build(tree, 2 * node + 1, start, middle);
  build(tree, 2 * node + 2, middle, end);
}

/**
 * The number of the point at the least weightX · Δx² + Δy², and of those as near, the lowest number; −1 where there is
 * no point.
 */
export function nearestPoint(tree: PointTree, x: number, y: number, weightX = 1): number {
  const { points, order, boxes, starts, ends } = tree;
  let best = -1;
  let bestDistance = Infinity;
  let depth = 0;
  if (order.length > 0) {
    stack[0] = 0;
    stackDistances[0] = 0;
    depth = 1;
  }
  while (depth > 0) {
    const node = stack[--depth];
    if (stackDistances[depth] > bestDistance) continue;
    const end = ends[node];
    if (end - starts[node] <= LEAF) {
      for (let i = starts[node]; i < end; i++) {
        const point = order[i];
        const dx = points[2 * point] - x;
        const dy = points[2 * point + 1] - y;
        const distance = weightX * dx * dx + dy * dy;
        if (distance < bestDistance || (distance === bestDistance && point < best)) {
          bestDistance = distance;
          best = point;
        }
      }
      continue;
    }
    // The nearer child on top: the other is then often too far to be visited at all.
    let near = 2 * node + 1;
    let far = near + 1;
    let nearDistance = boxDistance(boxes, near, x, y, weightX);
    let farDistance = boxDistance(boxes, far, x, y, weightX);
    if (farDistance < nearDistance) {
      [near, far] = [far, near];
      [nearDistance, farDistance] = [farDistance, nearDistance];
    }
    if (farDistance <= bestDistance) {
      stack[depth] = far;
      stackDistances[depth++] = farDistance;
    }
    stack[depth] = near;
    stackDistances[depth++] = nearDistance;
  }
  return best;
}

function boxDistance(boxes: Float64Array, node: number, x: number, y: number, weightX: number): number {
  const at = 4 * node;
  const dx = x < boxes[at] ? boxes[at] - x : x > boxes[at + 2] ? x - boxes[at + 2] : 0;
  const dy = y < boxes[at + 1] ? boxes[at + 1] - y : y > boxes[at + 3] ? y - boxes[at + 3] : 0;
  return weightX * dx * dx + dy * dy;
}
