/**
 * A gateway on a free loopback port that answers what a test tells it to.
 *
 * @module
 */
import { Code, GrpcError, GrpcServer, type ServiceHandlers } from "../../grpc/mod.ts";
import { admin, policy } from "../../proto/mod.ts";

/** The only token it accepts. */
export const TOKEN = "aasm_op_test";

/** Handlers of the admin service. */
export type AdminHandlers = Partial<ServiceHandlers<typeof admin.AdminService>>;
/** Handlers of the policy service. */
export type PolicyHandlers = Partial<ServiceHandlers<typeof policy.PolicyService>>;

/** A running fake. */
export interface FakeGateway {
  readonly port: number;
  /** Flags that lead `aasm` to it, token included. */
  readonly flags: readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts it. Admin calls without the token are refused, as the real one does. */
export async function fakeGateway(
  handlers: {
    readonly admin?: AdminHandlers;
    readonly policy?: PolicyHandlers;
    /** Adds what else it serves. */
    readonly serve?: (server: GrpcServer) => void;
  },
): Promise<FakeGateway> {
  const server = new GrpcServer();
  server.addService(admin.AdminService, handlers.admin ?? {}, {
    interceptors: [(context) => {
      if (context.metadata.get("authorization") === `Bearer ${TOKEN}`) return;
      throw new GrpcError("operator token is invalid", Code.UNAUTHENTICATED);
    }],
  });
  server.addService(policy.PolicyService, handlers.policy ?? {});
  handlers.serve?.(server);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const token_file = await Deno.makeTempFile({ prefix: "aasm-token-" });
  await Deno.writeTextFile(token_file, `${TOKEN}\n`);
  const port = listener.port ?? 0;
  return {
    port,
    flags: ["--gateway", `127.0.0.1:${port}`, "--token-file", token_file],
    [Symbol.asyncDispose]: async () => {
      await server.shutdown({ grace_ms: 100 });
      await Deno.remove(token_file);
    },
  };
}
