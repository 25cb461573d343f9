import { assert, assertEquals } from "../../testing/assert.ts";
