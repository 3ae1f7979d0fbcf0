import * as z from 'zod';

const MIN_SECRET_LENGTH = 32;
const HMAC = { name: 'HMAC', hash: 'SHA-256' };

const headerSchema = z.object({ alg: z.literal('HS256') });
const payloadSchema = z.looseObject({ exp: z.number() });
const tokenParts = z.tuple([z.string(), z.string(), z.string()]);

export type JwtPayload = z.infer<typeof payloadSchema>;

/** The payload of a token signed with HS256 and still in date, else undefined. */
export async function verifyJwt(token: string, secret: string, now: number): Promise<JwtPayload | undefined> {
  const parts = tokenParts.safeParse(token.split('.'));
  if (!parts.success) {
    return undefined;
  }
  const [header, payload, signature] = parts.data;
  // The algorithm is ours to choose: a token that names another one (as "none") is refused.
  if (!headerSchema.safeParse(decodeJson(header)).success) {
    return undefined;
  }
  const genuine = await signatureIsValid(`${header}.${payload}`, signature, secret);
  return genuine ? payloadInDate(payload, now) : undefined;
}

/** A short key could be guessed from one token, so it counts as a fault of the set-up. */
export function signingKey(secret: string | undefined): string {
  if (secret === undefined || secret.length < MIN_SECRET_LENGTH) {
    throw new Error(`JWT_SECRET must be set and have ${MIN_SECRET_LENGTH} characters or more`);
  }
  return secret;
}

/** `crypto.subtle.verify` compares in constant time. */
async function signatureIsValid(signed: string, signature: string, secret: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), HMAC, false, ['verify']);
  return crypto.subtle.verify(HMAC.name, key, decodeBase64Url(signature), encoder.encode(signed));
}

function payloadInDate(payload: string, now: number): JwtPayload | undefined {
  const { data } = payloadSchema.safeParse(decodeJson(payload));
  return data !== undefined && data.exp * 1000 > now ? data : undefined;
}

function decodeJson(part: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(decodeBase64Url(part)));
  } catch {
    return undefined;
  }
}

/** Text that cannot be decoded gives no bytes, which are neither JSON nor a signature. */
function decodeBase64Url(text: string): Uint8Array {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
