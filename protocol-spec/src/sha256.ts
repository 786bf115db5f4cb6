/** SHA-256 of `octets`, 32 octets (FIPS 180-4 §6.2). */
export function sha256(octets: Uint8Array): Uint8Array {
  const padded = pad(octets);
  const state = Uint32Array.from(INITIAL);
  const words = new Uint32Array(64);
  for (let at = 0; at < padded.byteLength; at += 64) {
    schedule(words, padded, at);
    compress(state, words);
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => {
    digest.setUint32(4 * i, word);
  });
  return new Uint8Array(digest.buffer);
}

/** A one bit, zeros, and the length in bits at the end of the last 64 octets (§5.1.1). */
function pad(octets: Uint8Array): DataView {
  const padded = new Uint8Array(64 * Math.ceil((octets.length + 9) / 64));
  padded.set(octets);
  padded[octets.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(octets.length / 2 ** 29));
  view.setUint32(padded.length - 4, (octets.length * 8) >>> 0);
  return view;
}

function schedule(w: Uint32Array, block: DataView, at: number): void {
  for (let t = 0; t < 16; t++) w[t] = block.getUint32(at + 4 * t);
  for (let t = 16; t < 64; t++) {
    const [near, far] = [of(w, t - 2), of(w, t - 15)];
    const s1 = right(near, 17) ^ right(near, 19) ^ (near >>> 10);
    const s0 = right(far, 7) ^ right(far, 18) ^ (far >>> 3);
    w[t] = s1 + of(w, t - 7) + s0 + of(w, t - 16);
  }
}

/** One block (§6.2.2, steps 2 to 4). */
function compress(state: Uint32Array, words: Uint32Array): void {
  const v = Uint32Array.from(state);
  for (let t = 0; t < 64; t++) {
    const [a, b, c, e, f, g] = [of(v, 0), of(v, 1), of(v, 2), of(v, 4), of(v, 5), of(v, 6)];
    const choice = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const one = right(e, 6) ^ right(e, 11) ^ right(e, 25);
    const two = right(a, 2) ^ right(a, 13) ^ right(a, 22);
    const t1 = of(v, 7) + one + choice + of(CONSTANTS, t) + of(words, t);
    v.copyWithin(1, 0, 7);
    v[4] = of(v, 4) + t1;
    v[0] = t1 + two + majority;
  }
  for (let i = 0; i < 8; i++) state[i] = of(state, i) + of(v, i);
}

const right = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

const of = (words: Uint32Array, i: number): number => words[i] ?? 0;

/** §5.3.3 */
const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/** §4.2.2 */
const CONSTANTS = Uint32Array.of(
  0x428a2f98,
  0x71374491,
  0xb5c0fbcf,
  0xe9b5dba5,
  0x3956c25b,
  0x59f111f1,
  0x923f82a4,
  0xab1c5ed5,
  0xd807aa98,
  0x12835b01,
  0x243185be,
  0x550c7dc3,
  0x72be5d74,
  0x80deb1fe,
  0x9bdc06a7,
  0xc19bf174,
  0xe49b69c1,
  0xefbe4786,
  0x0fc19dc6,
  0x240ca1cc,
  0x2de92c6f,
  0x4a7484aa,
  0x5cb0a9dc,
  0x76f988da,
  0x983e5152,
  0xa831c66d,
  0xb00327c8,
  0xbf597fc7,
  0xc6e00bf3,
  0xd5a79147,
  0x06ca6351,
  0x14292967,
  0x27b70a85,
  0x2e1b2138,
  0x4d2c6dfc,
  0x53380d13,
  0x650a7354,
  0x766a0abb,
  0x81c2c92e,
  0x92722c85,
  0xa2bfe8a1,
  0xa81a664b,
  0xc24b8b70,
  0xc76c51a3,
  0xd192e819,
  0xd6990624,
  0xf40e3585,
  0x106aa070,
  0x19a4c116,
  0x1e376c08,
  0x2748774c,
  0x34b0bcb5,
  0x391c0cb3,
  0x4ed8aa4a,
  0x5b9cca4f,
  0x682e6ff3,
  0x748f82ee,
  0x78a5636f,
  0x84c87814,
  0x8cc70208,
  0x90befffa,
  0xa4506ceb,
  0xbef9a3f7,
  0xc67178f2,
);
