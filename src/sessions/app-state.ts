/** Where the sessions of an app are, as the list of apps says. */
export interface AppState {
  /** The number of shards in which sessions are created. */
  readonly shards: number;
  /** The number of shards to which the app is about to move. Undefined if it is not. */
  readonly next: number | undefined;
  /** The number that the app had before. Undefined if it has had one only. */
  readonly former: number | undefined;
  /** Whether sessions may still be in the shards of the former number. */
  readonly isMoving: boolean;
  /**
   * The plan of its last move: a random number. A process that stopped during one move can so tell that another one is in force.
   * 0 if the app has never moved, or the move was called off.
   */
  readonly plan: number;
}

/** The state of an app whose first session is created by a process with this number. */
export function stateOfNew(shards: number): AppState {
  return { shards, next: undefined, former: undefined, isMoving: false, plan: 0 };
}

/** The state of an app in the members of the list, see lua/include/app-members.lua. */
export function stateIn(members: ReadonlyMap<string, number>, app: string): AppState {
  const name = `{${app}}`;
  return {
    shards: members.get(name) ?? 1,
    next: members.get(`${name}>`),
    former: members.get(`${name}<`),
    isMoving: members.has(`${name}!`),
    plan: members.get(`${name}#`) ?? 0,
  };
}

/** The form that lua/change-app.lua takes. */
export function textOf({ shards, next = 0, former = 0, isMoving, plan }: AppState): string {
  return [shards, next, former, isMoving ? 1 : 0, plan].join(" ");
}

/** All numbers of shards in which sessions may be, or will be soon. */
export function shardCountsOf({ shards, next, former, isMoving }: AppState): number[] {
  return [shards, next, isMoving ? former : undefined].filter((count) => count !== undefined);
}
