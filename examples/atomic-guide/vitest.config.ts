import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-pool-workers';
import { defineConfig } from 'vitest/config';

export default defineConfig(async () => {
  const migrations = await readD1Migrations('migrations');
  return {
    plugins: [
      cloudflareTest({
        main: './src/index.ts',
        wrangler: { configPath: './wrangler.jsonc' },
        miniflare: {
          bindings: {
            TEST_MIGRATIONS: migrations,
            JWT_SECRET: 'only-for-tests-0123456789abcdef-0123456789',
          },
        },
      }),
    ],
    test: {
      include: ['test/**/*.test.ts'],
      // Every test starts from empty storage (test/support/fresh-data.ts), so files may share one workerd:
      // a new one for each file takes three times as long.
      isolate: false,
      maxWorkers: 1,
      restoreMocks: true,
      setupFiles: ['test/support/fresh-data.ts'],
      coverage: {
        // V8 coverage is not available inside workerd.
        provider: 'istanbul' as const,
        include: ['src/**/*.ts'],
      },
    },
  };
});
