/**
 * A thread that runs and never answers.
 *
 * @module
 */

for (;;);
