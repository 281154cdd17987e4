/** Of all programs of this release; package.json says the same, and a test holds them equal. */
export const version = '0.1.0';
