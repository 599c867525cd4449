/**
 * The room of lineage and relations.
 *
 * @module
 */
import { TopologyAdminService } from "../../proto/gen/assembly/admin/v1/topology_pb.ts";
import { TopologyService } from "../../proto/gen/assembly/topology/v1/topology_pb.ts";
import { clean } from "../engine/evidence.ts";
import { topologyHandlers } from "../services/topology.ts";
import { topologyAdminHandlers } from "../services/topology_admin.ts";
import { EdgeLog } from "../topology/edge_log.ts";
import type { House, Room } from "./room.ts";

/** The room, with what other rooms may listen to. */
export interface TopologyRoom extends Room {
  readonly edges: EdgeLog;
}

/** What the room stands on. */
export type TopologyHouse = Pick<
  House,
  "store" | "clock" | "audit" | "registry" | "operators" | "counters"
>;

/**
 * Opens it.
 *
 * @throws {EdgeDamage} when a stored relation is not what was written.
 */
export async function openTopology(house: TopologyHouse): Promise<TopologyRoom> {
  const { store, clock, audit, registry, operators, counters } = house;
  const edges = await EdgeLog.open({
    store,
    clock,
    record: async (entry) => (await audit.append(entry)).seq,
    redact: clean,
  });
  return {
    edges,
    serve(server) {
      server.addService(TopologyService, topologyHandlers({ registry, edges, counters }));
      server.addService(
        TopologyAdminService,
        topologyAdminHandlers({ registry, edges, operators, counters, clock }),
      );
      return [TopologyService.typeName];
    },
    components: () => [{
      name: "topology",
      state: "enforcing",
      detail: `${edges.size} edge(s) kept` +
        (edges.forgotten === 0 ? "" : `; ${edges.forgotten} forgotten at the bound`),
    }],
    close: () => Promise.resolve(),
  };
}
