/** What both ends of the WebSocket link agree on, beside the frames themselves. */

/** Where workers connect, with their session's id as the query `session`. */
export const LINK_PATH = '/v1/link';

/** Header of the master's answer to the handshake: its id. */
export const MASTER_HEADER = 'x-gimmework-master';

/** Close code for a connection whose session has a newer one. */
export const CLOSE_REPLACED = 4001;
