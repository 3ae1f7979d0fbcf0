import type { RequestContext } from './context';

export type PathParams = Readonly<Record<string, string | undefined>>;
export type Handler = (context: RequestContext, params: PathParams) => Response | Promise<Response>;
export type Method = 'GET' | 'POST' | 'PUT';

interface Route {
  readonly method: Method;
  readonly pattern: URLPattern;
  readonly handler: Handler;
}

export type RouteMatch =
  | { readonly kind: 'found'; readonly handler: Handler; readonly params: PathParams }
  | { readonly kind: 'wrong-method'; readonly allow: readonly string[] }
  | { readonly kind: 'not-found' };

export class Router {
  private readonly routes: Route[] = [];

  on(method: Method, pathname: string, handler: Handler): this {
    this.routes.push({ method, pattern: new URLPattern({ pathname }), handler });
    return this;
  }

  match(method: string, url: URL): RouteMatch {
    const sought = method === 'HEAD' ? 'GET' : method;
    const onPath = this.routes.filter((route) => route.pattern.test(url));
    const route = onPath.find((candidate) => candidate.method === sought);
    if (route !== undefined) {
      return { kind: 'found', handler: route.handler, params: pathParams(route.pattern, url) };
    }
    if (onPath.length > 0) {
      return { kind: 'wrong-method', allow: onPath.flatMap(({ method: allowed }) => withHead(allowed)) };
    }
    return { kind: 'not-found' };
  }
}

function pathParams(pattern: URLPattern, url: URL): PathParams {
  return pattern.exec(url)?.pathname.groups ?? {};
}

function withHead(method: Method): string[] {
  return method === 'GET' ? ['GET', 'HEAD'] : [method];
}
