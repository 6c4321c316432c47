// SPDX-License-Identifier: Apache-2.0
import {
  AnyRecord, CheckVerdict, ContractDefinition, Handlers, ListingDefinition, Order, OrderIntent, Schema, ZoneDefinition,
} from './records';

export * from './records';

/** Who the plugin is in this run. */
export interface Instance {
  readonly name: string;
  readonly pluginId: number;
  readonly bookId: number;
  readonly algoId: number;
  readonly algoVersion: number;
  readonly traderId: number;
  readonly accountId: number;
  readonly runSeed: bigint;
  readonly seed: bigint;
  readonly limitsJson: string;
  readonly folder: string;
  readonly dataFolder: string;
  readonly simulated: boolean;
}

/** All that a handler has of the world. */
export interface Context {
  readonly instance: Instance;
  /** The run's time, ns UTC. */
  readonly nowNs: bigint;
  /** The number of the event at hand. */
  readonly seq: bigint;
  readonly listings: ReadonlyMap<number, ListingDefinition>;
  readonly contracts: ReadonlyMap<number, ContractDefinition>;
  readonly zones: ReadonlyMap<number, ZoneDefinition>;
  say(...records: AnyRecord[]): void;
  /** The id of a name; one that is new gets one. Kind is one of IdKind. */
  id(kind: number, name: string): Promise<number>;
  setTimer(dueNs: bigint, tag?: bigint): number;
  forgetTimer(timerId: number): void;
  log(severity: number, text: string, fields?: object): void;
  /** Calls run once the event at hand is in the journal: the place to send to a market outside. */
  afterWritten(run: () => void | Promise<void>): void;
  /** Tells the kernel of what came by itself; throws under a simulated clock. */
  fromOutside(...records: AnyRecord[]): void;
  intent(listingId: number, side: number, priceTicks: bigint, qtyLots: bigint, more?: Partial<OrderIntent>): OrderIntent;
  cancel(orderId: bigint, listingId: number): OrderIntent;
}

/** What a plugin's class may have: onQuote(quote), onOrder(order) … for each record that it hears, and these. */
export interface Handler extends Handlers {
  onStart?(resumed: boolean): void | Promise<void>;
  onStop?(): void | Promise<void>;
  checkOrder?(order: Order): CheckVerdict | Promise<CheckVerdict>;
  /** What msgpack carries; integers come back as bigint. */
  snapshot?(): unknown;
  restore?(state: any): void;
}

export interface Plugin<Config> {
  id: string;
  version: string;
  kind: 'venue' | 'feed' | 'model' | 'strategy' | 'execution' | 'risk' | 'compliance' | 'portfolio' | 'offload' | 'operations' | 'refdata';
  contractMin?: number;
  contractMax?: number;
  hears: Schema<any>[];
  /** JSON Schema of an object; defaults, types, minimum, maximum and enum of its properties are checked. */
  configSchema?: object;
  embedded?: boolean;
  /** The same events give the same answers, in every process. */
  deterministic?: boolean;
  /** Returns what else is wrong, as "KEY: met …, wanted …". */
  faults?(config: Config): string[];
  Handler: new (ctx: Context, config: Config) => Handler;
}

/** Serves the plugin to the host that started this process, until the host ends it. */
export function serve<Config>(plugin: Plugin<Config>): void;
