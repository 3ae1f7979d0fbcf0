import { env } from 'cloudflare:workers';

const encoder = new TextEncoder();

export interface Claims {
  readonly sub?: string;
  readonly role?: string;
  readonly exp?: number;
}

export function inOneMinute(): number {
  return Math.floor(Date.now() / 1000) + 60;
}

export async function authorization(claims: Claims = {}): Promise<{ Authorization: string }> {
  const token = await signToken({ sub: 'ada', role: 'author', exp: inOneMinute(), ...claims });
  return { Authorization: `Bearer ${token}` };
}

export async function signToken(payload: unknown, header: unknown = { alg: 'HS256' }, secret = env.JWT_SECRET): Promise<string> {
  const signed = `${base64Url(encoder.encode(JSON.stringify(header)))}.${base64Url(encoder.encode(JSON.stringify(payload)))}`;
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), hmac, false, ['sign']);
  const signature = await crypto.subtle.sign('HMAC', key, encoder.encode(signed));
  return `${signed}.${base64Url(new Uint8Array(signature))}`;
}

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
