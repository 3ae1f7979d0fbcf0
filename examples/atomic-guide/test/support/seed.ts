import minimal from '../../seed/minimal.sql?raw';

export async function seed(db: D1Database): Promise<void> {
  const statements = minimal
    .replace(/^--.*$/gm, '')
    .split(/;\s*$/m)
    .filter((statement) => statement.trim() !== '');
  await db.batch(statements.map((statement) => db.prepare(statement)));
}
