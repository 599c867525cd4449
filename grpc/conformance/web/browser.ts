/**
 * Chromium without a window, for as long as one page needs.
 *
 * @module
 */

const FLAGS: readonly string[] = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // The certificate of the test server is of an authority of our own.
  "--ignore-certificate-errors",
  // The name a hostile page was loaded under, made to resolve to this machine.
  "--host-resolver-rules=MAP rebound.example 127.0.0.1",
];

/** Opens a page and closes the browser when `done` settles or the time is over. */
export async function withPage<T>(url: string, done: Promise<T>, timeout_ms: number): Promise<T> {
  const profile = await Deno.makeTempDir({ prefix: "web-suite-" });
  const child = new Deno.Command("chromium", {
    args: [...FLAGS, `--user-data-dir=${profile}`, url],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the page did not report within ${timeout_ms} ms`)),
      timeout_ms,
    );
  });
  try {
    return await Promise.race([done, timeout]);
  } finally {
    clearTimeout(timer);
    child.kill("SIGTERM");
    await child.status;
    await removeProfile(profile);
  }
}

/** Helpers of the browser may write to the profile a moment longer than it lives. */
async function removeProfile(profile: string): Promise<void> {
  for (let left = 20; left > 0; left--) {
    try {
      return await Deno.remove(profile, { recursive: true });
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
