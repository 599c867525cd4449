/** Version of every program of the suite. */
export const VERSION = "0.4.0";
