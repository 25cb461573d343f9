/**
 * Commits a folder to a branch of its git repository, with git's plumbing and an index of its own: the checked-out branch,
 * the user's index and the work tree are left alone, and the branch moves at once or not at all.
 *
 * @module
 */
import { resolve } from "node:path";
import { FailureError, firstLine } from "../errors.ts";

/** Who commits where the repository's owner has no name configured. */
const AUTHOR = { name: "kvtune", email: "kvtune@localhost" };

/**
 * Commits `paths` of `folder` to `branch`, which is made from the checked-out commit where it does not exist.
 *
 * @param paths Files below `folder`.
 * @returns The commit's id, or undefined where the branch has the same content already.
 * @throws {FailureError} Where the folder is in no repository, the branch is checked out, or it moved meanwhile.
 */
export async function commitToBranch(
  { folder, paths, branch, message }: {
    folder: string;
    paths: readonly string[];
    branch: string;
    message: string;
  },
): Promise<string | undefined> {
  const top = await git(["rev-parse", "--show-toplevel"], { cwd: folder });
  const ref = `refs/heads/${branch}`;
  const head = await git(["rev-parse", "--symbolic-full-name", "HEAD"], { cwd: top, failure: "" });
  if (head === ref) {
    throw new FailureError(`Cannot commit to branch "${branch}": it is checked out in ${top}, expected another branch`);
  }
  const known = await git(["rev-parse", "--verify", "--quiet", `${ref}^{commit}`], { cwd: top, failure: "" });
  const parent = known || await git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], { cwd: top, failure: "" });
  const scratch = Deno.makeTempDirSync({ prefix: "kvtune-" });
  try {
    const env = { GIT_INDEX_FILE: `${scratch}/index` };
    if (parent) await git(["read-tree", parent], { cwd: top, env });
    // By their path below the top, so that a folder that git ignores is committed where the plan asks for it.
    const files = paths.map((path) => resolve(folder, path));
    await git(["update-index", "--add", "--", ...files], { cwd: top, env });
    const tree = await git(["write-tree"], { cwd: top, env });
    if (parent && tree === await git(["rev-parse", `${parent}^{tree}`], { cwd: top })) return undefined;
    const parents = parent ? ["-p", parent] : [];
    const commit = await git(["commit-tree", tree, ...parents, "-m", message], { cwd: top, env: await identity(top) });
    await git(["update-ref", "-m", "kvtune", ref, commit, known || "0".repeat(commit.length)], { cwd: top });
    return commit;
  } finally {
    Deno.removeSync(scratch, { recursive: true });
  }
}

/** The environment that names an author, where the repository does not. */
async function identity(top: string): Promise<Record<string, string>> {
  if (await git(["config", "user.email"], { cwd: top, failure: "" })) return {};
  return {
    GIT_AUTHOR_NAME: AUTHOR.name,
    GIT_AUTHOR_EMAIL: AUTHOR.email,
    GIT_COMMITTER_NAME: AUTHOR.name,
    GIT_COMMITTER_EMAIL: AUTHOR.email,
  };
}

/** Runs git and gives its output, or `failure` where that is set and git fails. */
async function git(
  args: readonly string[],
  { cwd, env = {}, failure }: { cwd: string; env?: Record<string, string>; failure?: string },
): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("git", { args: [...args], cwd, env, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new FailureError(
        'Cannot run git without the permission to: "deno task schedule" has it, "deno run tune" not',
      );
    }
    throw new FailureError(`Cannot run git: ${firstLine(error)}`);
  }
  const decoder = new TextDecoder();
  if (output.success) return decoder.decode(output.stdout).trim();
  if (failure !== undefined) return failure;
  throw new FailureError(`Cannot commit results: git ${args[0]}: ${firstLine(decoder.decode(output.stderr))}`);
}
