// How a script of scenes tells what came of them.

/**
 * Plays `scenes` and prints what they answer as one line of JSON; says what went wrong and has the process exit with 1 otherwise.
 * Whatever comes of it, `close` is called then.
 */
export async function tell(scenes, close) {
  try {
    console.log(JSON.stringify(await scenes()));
  } catch (error) {
    console.error(error instanceof Error ? error.stack : error);
    process.exitCode = 1;
  } finally {
    await close();
  }
}
