/**
 * What TLS says when a connection does not come about, in words that tell what to look at. `whose`: the side that the
 * words of the certificate are about.
 * @returns undefined: it is nothing of TLS's
 */
export function tlsReason(text: string, whose: "client" | "server"): string | undefined {
  const its = whose === "client" ? "the client's certificate" : "the server's certificate";
  return reasons.find(([pattern]) => pattern.test(text))?.[1](its);
}

/** Codes of X.509 as Node has them, errors and alerts of OpenSSL (RFC 8446 §6.2). */
const reasons: readonly [RegExp, (its: string) => string][] = [
  [
    /CERT_HAS_EXPIRED|certificate has expired/,
    (its) => `${its} has expired: issue another (\`nva pki rotate\`)`,
  ],
  [/CERT_NOT_YET_VALID|not yet valid/, (its) => `${its} is not yet valid: compare the clocks`],
  [
    /UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|SELF_SIGNED|CERT_SIGNATURE_FAILURE|unable to (verify|get)|self.signed/i,
    (its) => `${its} is of no CA that is trusted here: compare the files \`ca\` of both sides`,
  ],
  [/UNABLE_TO_GET_PEER|PEER_DID_NOT_RETURN|no peer certificate/i, () => "no certificate was shown"],
  [
    /INVALID_PURPOSE|(unsupported|unsuitable) certificate purpose/i,
    (its) => `${its} is not for this side of TLS`,
  ],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID|does not match certificate's altnames/,
    (its) =>
      `${its} does not have the address that was asked for among its names: issue it with \`--ip\` or \`--dns\``,
  ],
  [
    /WRONG_VERSION_NUMBER|wrong version number|HTTP_REQUEST|http request|PACKET_LENGTH|UNKNOWN_PROTOCOL|BAD_RECORD_TYPE|bad record type/i,
    () => "the other side does not speak TLS: plain TCP there, or another program",
  ],
  [
    /UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|unsupported protocol|protocol version/i,
    () => "the other side has no TLS 1.3",
  ],
  [/Failed to connect \(/, () => "it closed the connection at once: perhaps it wants TLS"],
  [/handshake timeout|ERR_TLS_HANDSHAKE_TIMEOUT/i, () => "the handshake was not finished in time"],
  [/its certificate (is|names|has)/, (its) => `${its} is not an NVA's`],
  [
    /NO_APPLICATION_PROTOCOL|no application protocol/i,
    () => "the other side does not speak HTTP/2",
  ],
];
