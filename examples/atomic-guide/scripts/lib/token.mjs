import { createHmac } from 'node:crypto';

/** Signs an author's token as the platform that embeds the guides would. */
export function authorToken(secret, subject) {
  const expiry = Math.floor(Date.now() / 1000) + 300;
  const signed = [{ alg: 'HS256', typ: 'JWT' }, { sub: subject, role: 'author', exp: expiry }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
