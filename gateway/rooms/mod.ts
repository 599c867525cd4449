/**
 * Which rooms this gateway has, in the order in which they open. A room that another stands on
 * comes first and is handed to it.
 *
 * @module
 */
import { openFacts } from "./facts.ts";
import { enrolledBy, loadRouting, openApprovals } from "./approvals.ts";
import { openAlerts, pendingAge } from "./alerts.ts";
import { openAnomalies } from "./anomalies.ts";
import { openIam } from "./iam.ts";
import { openIdentity } from "./identity.ts";
import { openInvalidation } from "./invalidation.ts";
import { openNotifications } from "./notifications.ts";
import { openOperations } from "./operations.ts";
import { budgetRaise } from "../ledger/alerts.ts";
import { openLedger } from "./ledger.ts";
import { openSecrets } from "./secrets.ts";
import { openRuntimes } from "./runtimes.ts";
import { openTopology } from "./topology.ts";
import { openRates } from "./rates.ts";
import { openPolicyAdmin } from "./policy_admin.ts";
import { type House, type Room, Rooms } from "./room.ts";

/**
 * Opens every room.
 *
 * @throws {Error} from the first that cannot open; those before it are closed then.
 */
export async function openRooms(house: House): Promise<Rooms> {
  const opened: Room[] = [];
  const add = <R extends Room>(room: R): R => {
    opened.push(room);
    return room;
  };
  try {
    await openEach(house, add);
  } catch (error) {
    await new Rooms(opened).close().catch(() => {
      // The room that did not open is what the operator must hear of.
    });
    throw error;
  }
  return new Rooms(opened);
}

/** One line a room: `const x = add(await openX(house))`. */
async function openEach(house: House, add: <R extends Room>(room: R) => R): Promise<void> {
  add(await openIam(house));
  add(openIdentity(house));
  const ledger = add(await openLedger(house));
  add(await openPolicyAdmin(house));
  const price = ledger.parts?.ledger?.price.bind(ledger.parts.ledger);
  add(await openFacts(house, price === undefined ? {} : { price }));
  const routing = await loadRouting(house.config.approval_routing);
  const approvals = add(await openApprovals(house, { routing, ownerOf: enrolledBy(house) }));
  add(await openNotifications(house, approvals));
  add(await openTopology(house));
  const alerting = add(await openAlerts(house));
  ledger.alerts?.listen((alert) => alerting.spent(budgetRaise(alert), alert.threshold_pct));
  alerting.rules.sources.set("approval_pending_age", pendingAge(approvals.queue));
  const { anomalies } = add(openAnomalies(house, alerting));
  add(await openRates(house));
  const { operations } = add(await openOperations(house));
  const { hub } = add(openInvalidation(house));
  approvals.onResolved(({ request_id, state, requester: { org_id = "", team_id = "" } }) => {
    const outcome = state.status === "approved" ? "approved" : "denied";
    hub.approvalResolved(request_id, outcome, { org_id, team_id });
  });
  add(await openSecrets(house, operations));
  const raise = alerting.alerts.raise.bind(alerting.alerts);
  add(await openRuntimes(house, { ledger: ledger.ledger, operations, anomalies, raise }));
}
