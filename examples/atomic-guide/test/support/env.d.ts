import type { Env as AppEnv } from '../../src/env';
import type * as mainModule from '../../src/index';
import type { D1Migration } from 'cloudflare:test';

declare global {
  namespace Cloudflare {
    interface Env extends AppEnv {
      TEST_MIGRATIONS: D1Migration[];
    }
    interface GlobalProps {
      mainModule: typeof mainModule;
    }
  }

  // Named by `cloudflare:test`, but declared only in the experimental set of the Workers types.
  interface FetcherQueueResult {
    readonly ackAll: boolean;
    readonly retryBatch: { readonly retry: boolean };
  }
  interface ServiceBindingQueueMessage<Body = unknown> {
    readonly id: string;
    readonly timestamp: Date;
    readonly attempts: number;
    readonly body: Body;
  }
}
