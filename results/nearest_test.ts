import assert from "node:assert/strict";
import fc from "fast-check";
import { nearestPoint, pointTree } from "./nearest.ts";

const coordinate = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.double({ min: -1, max: 20, noNaN: true }));
const point = fc.tuple(coordinate, coordinate);

Deno.test("nearestPoint() finds what a scan of all points finds, the lowest number among those as near", () => {
  fc.assert(
    fc.property(fc.array(point, { maxLength: 60 }), point, fc.constantFrom(0, 1), (points, [x, y], weightX) => {
      const distance = ([px, py]: [number, number]) => weightX * (px - x) * (px - x) + (py - y) * (py - y);
      const distances = points.map(distance);
      const expected = points.length === 0 ? -1 : distances.indexOf(Math.min(...distances));
      assert.equal(nearestPoint(pointTree(Float64Array.from(points.flat())), x, y, weightX), expected);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("nearestPoint() is right for a thousand points on a line, asked from far away", () => {
  const tree = pointTree(Float64Array.from({ length: 2000 }, (_, i) => i % 2 === 0 ? i / 2 : 10));
  for (const x of [-5, 0, 500.4, 998.6, 2000]) {
    assert.equal(nearestPoint(tree, x, 17), Math.max(0, Math.min(999, Math.round(x))));
  }
});
