// The errors of the client: the tree of the Python client.
//
// ClientError
// ├── BadName           a name of a room, an agent or a session that no node accepts
// ├── NoAnswer          no server answers at the address: the request was not carried out
// ├── Unconfirmed       the request was sent, and whether it was carried out is not known
// ├── CommandRefused    the node answered a command with an error code
// ├── QueueFull         as many messages wait as `maxQueued` allows
// ├── ClientMisused     a call that the client can't carry out: it is closed, or the room was left
// ├── UserChanged       the new token is of another user
// └── ConnectionLost    a connection has ended, or could not be opened
//     └── SessionEnded  and the client does not connect again by itself
//         ├── TokenExpired      4401, and there is no other token
//         ├── Evicted           4500
//         ├── TokenRefused      4501, or an empty token
//         ├── AccessForbidden   4503
//         ├── Disconnected      4504
//         ├── TooManyBadFrames  4505
//         └── Replaced          4506

/**
 * `code` is an error code of docs/protocol.md §4, or a close code of §5; null where neither says more. `retryAfter` is in
 * seconds, where the node named a time.
 */
export class ClientError extends Error {
  /** Of types alone: no two classes of errors are taken for one another. */
  protected declare readonly kind: string;

  constructor(
    message: string,
    readonly code: string | number | null = null,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  /** That of the class, which a minifier may shorten: test with `instanceof`. */
  override get name(): string {
    return this.constructor.name;
  }
}

export class BadName extends ClientError {
  protected declare readonly kind: "BadName";
}

export class NoAnswer extends ClientError {
  protected declare readonly kind: "NoAnswer";
}

export class Unconfirmed extends ClientError {
  protected declare readonly kind: "Unconfirmed";
}

export class CommandRefused extends ClientError {
  declare readonly code: string;
  protected declare readonly kind: "CommandRefused";
}

export class QueueFull extends ClientError {
  protected declare readonly kind: "QueueFull";
}

export class ClientMisused extends ClientError {
  protected declare readonly kind: "ClientMisused";
}

export class UserChanged extends ClientError {
  protected declare readonly kind: "UserChanged";
}

/** `code` is the close code, or null if no server answered. */
export class ConnectionLost extends ClientError {
  declare readonly code: number | null;
}

export class SessionEnded extends ConnectionLost {
  protected declare readonly isFinal: true;
}

export class TokenExpired extends SessionEnded {
  protected declare readonly kind: "TokenExpired";
}

export class Evicted extends SessionEnded {
  protected declare readonly kind: "Evicted";
}

export class TokenRefused extends SessionEnded {
  protected declare readonly kind: "TokenRefused";
}

export class AccessForbidden extends SessionEnded {
  protected declare readonly kind: "AccessForbidden";
}

export class Disconnected extends SessionEnded {
  protected declare readonly kind: "Disconnected";
}

export class TooManyBadFrames extends SessionEnded {
  protected declare readonly kind: "TooManyBadFrames";
}

export class Replaced extends SessionEnded {
  protected declare readonly kind: "Replaced";
}

/** The error of a session that ended with this close code; SessionEnded itself for all others. */
export const FINAL_ERRORS: Record<number, typeof SessionEnded> = {
  4401: TokenExpired,
  4500: Evicted,
  4501: TokenRefused,
  4503: AccessForbidden,
  4504: Disconnected,
  4505: TooManyBadFrames,
  4506: Replaced,
};

/** Close codes after which an app has to ask its user to log in: `onAuthError`. */
export const AUTH_CODES: unknown[] = [4401, 4501, 4503];
