// The client of `eicterm.v1`: a terminal of an eice gateway, for whatever shows it.

export { GatewayError, type RequestOptions } from "./ask.js";
export {
  type Exit,
  type Failure,
  type Latency,
  type Listener,
  type Options,
  type Socket,
  type State,
  Terminal,
} from "./client.js";
export { type Limits, type Message, type Size, SUBPROTOCOL } from "./codec.js";
export { type Fix, type Outcome, type Report, type Step, diagnose } from "./diagnose.js";
export { type Refusal, refusal } from "./refusal.js";
export { type Session, endSession, sessions } from "./sessions.js";
export { ticket } from "./ticket.js";
export { type Why } from "./why.js";
