import assert from "node:assert/strict";
import { Context } from "./context.ts";
import { Driver } from "./driver.ts";
import { CudaError, LibraryError, StickyCudaError } from "./errors.ts";
import { hasCompiler, stubDriver } from "./stub/stub.ts";

const ignore = !hasCompiler;

Deno.test("Driver lists what it tried where there is no libcuda", () => {
  assert.throws(() => new Driver(["/nowhere/libcuda.so.1", "/elsewhere/libcuda.so.1"]), (error) => {
    assert(error instanceof LibraryError);
    assert.deepEqual(error.tried.map(({ path }) => path), ["/nowhere/libcuda.so.1", "/elsewhere/libcuda.so.1"]);
    assert.match(error.message, /^Cannot open libcuda, which NVIDIA's driver brings/);
    return true;
  });
});

Deno.test({
  name: "Driver.properties() reads a device, and names the index where there is none",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    const { driver } = stub;
    assert.equal(driver.cudaVersionText, "13.0");
    const properties = driver.properties(0);
    assert.equal(properties.name, "Stub H200");
    assert.equal(properties.pciBusId, "0000:1b:00.0");
    assert.deepEqual([properties.major, properties.minor, properties.smCount], [9, 0, 132]);
    assert.equal(properties.sharedBytesPerBlockOptIn, 232448);
    assert.equal(properties.memoryBytes, 141 * 2 ** 30);
    assert.throws(() => driver.properties(1), /Cannot find CUDA device 1: .* \(101\)/);
  },
});

Deno.test({
  name: "Driver.check() says what failed, with the error's name, number and text",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    const context = new Context(stub.driver, stub.driver.properties(0));
    stub.fail("cuMemAlloc_v2", 2);
    assert.throws(() => context.allocate(123, "partials"), (error) => {
      assert(error instanceof CudaError && !(error instanceof StickyCudaError));
      assert.equal(
        error.message,
        "Cannot allocate 123 bytes for partials: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory",
      );
      return true;
    });
    context.free(context.allocate(123, "partials")); // The context lives on.
    context.close();
  },
});

Deno.test({
  name: "A sticky error is fatal, and freeing after it stays silent",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    const context = new Context(stub.driver, stub.driver.properties(0));
    const address = context.allocate(16, "x");
    stub.fail("cuMemsetD8Async", 700);
    assert.throws(() => context.fill(address, 0, 16, "x"), (error) => {
      assert(error instanceof StickyCudaError);
      assert.equal(error.fatal, true);
      assert.match(error.message, /CUDA_ERROR_ILLEGAL_ADDRESS \(700\), an illegal memory access/);
      return true;
    });
    assert.equal(stub.driver.sticky?.code, 700);
    context.free(address);
    context.close();
  },
});

Deno.test({
  name: "An error that the driver cannot name keeps its number",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    assert.throws(
      () => stub.driver.check(12345, "do it"),
      /^CudaError: Cannot do it: an error without a name \(12345\)/,
    );
  },
});

Deno.test({
  name: "Context takes a partition of exactly the SMs asked for, finer ones without clusters",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    const properties = stub.driver.properties(0);
    for (const [smCount, hasClusters] of [[64, true], [66, false], [8, true]] as const) {
      const context = new Context(stub.driver, properties, smCount);
      assert.deepEqual([context.smCount, context.isPartition, context.hasClusters], [smCount, true, hasClusters]);
      assert.equal(context.stream, 0x500n);
      context.close();
      assert(stub.log().includes(`green context of ${smCount} SMs, flags 1`));
    }
    const whole = new Context(stub.driver, properties, 132);
    assert.deepEqual([whole.smCount, whole.isPartition], [132, false]);
    whole.close();
  },
});

Deno.test({
  name: "Context refuses a partition that the device does not have, and names those it has",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    for (const smCount of [0, 63, 133, 7.5]) {
      assert.throws(() => new Context(stub.driver, stub.driver.properties(0), smCount), (error) => {
        assert(error instanceof RangeError);
        assert.match(
          error.message,
          /expected 132, 8 to 128 in steps of 8, or without clusters 2 to 130 in steps of 2$/,
        );
        return true;
      });
    }
  },
});
