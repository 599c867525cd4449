/**
 * A socket of its own process, under the narrowest permissions: for tests that start it as another
 * user. Prints what its kernel check and its lost permission say.
 *
 * Usage: `peer_runtime_fixture.ts SOCKET`. Ends when standard input ends.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { openLibc } from "../libc/libc.ts";
import { libcPaths } from "../libc/paths.ts";
import { dropPrivileges } from "../libc/privileges.ts";
import { PeerFinder, peerMaySpeak } from "./peer_credentials.ts";
import { bindSocket } from "./socket_file.ts";

const [path = ""] = Deno.args;
const paths = libcPaths(Deno.build.os, Deno.build.arch);
const opened = await openLibc(paths);
if (!opened.ok) throw new Error(opened.reason);
const own_uid = opened.libc.geteuid();
const file = await bindSocket(path, own_uid);
const finder = new PeerFinder(opened.libc, file.bound_path);

function reloadable(): boolean {
  try {
    Deno.dlopen(opened.ok ? opened.path : "", { geteuid: { parameters: [], result: "u32" } });
    return true;
  } catch {
    return false;
  }
}
const privileges = dropPrivileges(opened.libc).state;
console.log(JSON.stringify({ own_uid, reloadable: reloadable(), privileges }));
(async () => {
  for (;;) {
    const socket = await file.listener.accept();
    const peer = finder.newest();
    const admitted = peer !== undefined && peerMaySpeak(peer, own_uid);
    console.log(JSON.stringify({ peer, admitted }));
    socket.close();
  }
})();
for await (const _ of Deno.stdin.readable);
Deno.exit(0);
