export async function lessonExists(db: D1Database, lessonId: string): Promise<boolean> {
  return (await db.prepare('SELECT id FROM lessons WHERE id = ?').bind(lessonId).first()) !== null;
}
