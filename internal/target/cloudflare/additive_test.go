package cloudflare

import "testing"

func TestWhatOlderCodeSurvives(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"", "-- nothing\n/* at all", ";;",
		"CREATE TABLE a (id INTEGER); CREATE INDEX i ON a(id);",
		"create table if not exists a (id integer);",
		"ALTER TABLE users ADD COLUMN nick TEXT; UPDATE users SET nick = coalesce(name, 'x, y') WHERE nick IS NULL;",
		"ALTER TABLE users ADD nick; ALTER TABLE users ADD nock; UPDATE users SET nick = (SELECT 1, 2), \"nock\" = 3;",
		"CREATE TABLE a (id); CREATE UNIQUE INDEX i ON a(id); INSERT INTO a SELECT id FROM users; UPDATE a SET id = 1; DELETE FROM a; DROP TABLE a;",
		"INSERT INTO settings VALUES ('DROP TABLE users; --');",
		"PRAGMA defer_foreign_keys = on; CREATE VIEW v AS SELECT 1;",
		"CREATE VIRTUAL TABLE docs USING fts5(text);",
		"INSERT INTO settings VALUES ('do update', 1) ON CONFLICT (name) DO NOTHING; INSERT OR IGNORE INTO settings VALUES ('a', 1);",
		"CREATE TABLE a (id PRIMARY KEY, n); INSERT INTO a VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1;",
	} {
		if why := breaks(sql); why != "" {
			t.Errorf("%s\n  is said to break: %s", sql, why)
		}
	}
	for _, sql := range []string{
		"DROP TABLE users", "drop /* x */ table users;", "DROP INDEX i;", "DROP TABLE IF EXISTS users;",
		"ALTER TABLE users DROP COLUMN name;", "ALTER TABLE users RENAME TO people;", "ALTER TABLE [users] RENAME name TO nick;",
		"CREATE TABLE new (id); INSERT INTO new SELECT id FROM users; DROP TABLE users; ALTER TABLE new RENAME TO users;",
		"CREATE TABLE IF NOT EXISTS users (id); DELETE FROM users;",
		"CREATE UNIQUE INDEX i ON users(name);",
		"CREATE TRIGGER t AFTER INSERT ON users BEGIN INSERT INTO log VALUES (1); END;",
		"ALTER TABLE users ADD COLUMN nick; UPDATE users SET nick = 1, name = 2;",
		"UPDATE users SET name = upper(name);", "UPDATE OR IGNORE users SET name = 1;", "DELETE FROM users;",
		"INSERT OR REPLACE INTO users VALUES (1);", "REPLACE INTO users VALUES (1);",
		"INSERT INTO users VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x';",
		"INSERT INTO users VALUES (1) ON CONFLICT (id) DO NOTHING ON CONFLICT (name) do /* x */ update SET name = 'x' WHERE id = 1;",
		"WITH x AS (SELECT 1) DELETE FROM users;", "VACUUM;", "PRAGMA writable_schema = 1;", "ATTACH 'x' AS y;",
		"SELECT 1; 'DROP", "SELECT 'a''; DROP TABLE users; --'; DROP TABLE users;",
	} {
		if why := breaks(sql); why == "" {
			t.Errorf("%s\n  is said to be harmless", sql)
		}
	}
}

func TestATriggersBodyIsOneStatement(t *testing.T) {
	t.Parallel()
	got, err := splitStatements("CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET x = ';'; DELETE FROM c; END; SELECT 1;")
	if err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}
