// Runs a script of scenes and reports the result.

/** Plays `scenes` and prints their result as one line of JSON, or reports the failure and exits with 1. Calls `close` in either case. */
export async function runScenes(scenes, close) {
  try {
    console.log(JSON.stringify(await scenes()));
  } catch (error) {
    console.error(error instanceof Error ? error.stack : error);
    process.exitCode = 1;
  } finally {
    await close();
  }
}
