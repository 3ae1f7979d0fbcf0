package store

import (
	"context"
	"database/sql"
	"time"
)

// Zone is a domain name that routes and custom domains belong to.
type Zone struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

// Route sends requests whose host and path match Pattern to a script.
type Route struct {
	ID      string
	ZoneID  string
	Pattern string // example.com/api/*, *.example.com/*
	Script  string
}

// Domain sends all requests for a host to a script.
type Domain struct {
	ID       string
	ZoneID   string
	Hostname string
	Script   string
}

func scanZone(row interface{ Scan(...any) error }) (Zone, error) {
	zone := Zone{}
	var created int64
	err := row.Scan(&zone.ID, &zone.Name, &created)
	zone.CreatedAt = fromMicros(created)
	return zone, notFound(err)
}

// Zones lists all, by name.
func (s *Store) Zones(ctx context.Context) ([]Zone, error) {
	return rows(ctx, s.read, scanZone, "SELECT id, name, created FROM zones ORDER BY name")
}

// Zone finds one by its ID.
func (s *Store) Zone(ctx context.Context, id string) (Zone, error) {
	return scanZone(s.read.QueryRowContext(ctx, "SELECT id, name, created FROM zones WHERE id = ?", id))
}

// EnsureZone finds a zone by its name, and makes it the first time that it is asked for.
func (s *Store) EnsureZone(ctx context.Context, name string) (Zone, error) {
	zone := Zone{}
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		if _, err := tx.ExecContext(ctx, "INSERT INTO zones (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			NewID(), name, toMicros(time.Now())); err != nil {
			return err
		}
		zone, err = scanZone(tx.QueryRowContext(ctx, "SELECT id, name, created FROM zones WHERE name = ?", name))
		return err
	})
	return zone, err
}

// DeleteZone forgets a zone and all that belongs to it.
func (s *Store) DeleteZone(ctx context.Context, id string) error {
	return s.remove(ctx, "DELETE FROM zones WHERE id = ?", id)
}

// Routes lists all, by pattern.
func (s *Store) Routes(ctx context.Context) ([]Route, error) {
	return rows(ctx, s.read, func(row interface{ Scan(...any) error }) (route Route, err error) {
		err = row.Scan(&route.ID, &route.ZoneID, &route.Pattern, &route.Script)
		return route, err
	}, "SELECT id, zone, pattern, script FROM routes ORDER BY pattern")
}

// PutRoute creates a route or replaces the one with the same ID; ErrExists when another has the pattern.
func (s *Store) PutRoute(ctx context.Context, route Route) error {
	return s.update(ctx, func(tx *sql.Tx) error { return putRoute(ctx, tx, route) })
}

func putRoute(ctx context.Context, tx *sql.Tx, route Route) error {
	var other int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM routes WHERE pattern = ? AND id <> ?", route.Pattern, route.ID).Scan(&other)
	if err != nil {
		return err
	}
	if other > 0 {
		return ErrExists
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO routes (id, zone, pattern, script) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET pattern = excluded.pattern, script = excluded.script`,
		route.ID, route.ZoneID, route.Pattern, route.Script)
	return err
}

// SetScriptRoutes makes a script's routes exactly these; one that another script has is ErrExists and nothing changes.
func (s *Store) SetScriptRoutes(ctx context.Context, script string, routes []Route) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM routes WHERE script = ?", script); err != nil {
			return err
		}
		for _, route := range routes {
			if err := putRoute(ctx, tx, route); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteRoute removes one of a zone.
func (s *Store) DeleteRoute(ctx context.Context, zone, id string) error {
	return s.remove(ctx, "DELETE FROM routes WHERE zone = ? AND id = ?", zone, id)
}

// Domains lists all, by host name.
func (s *Store) Domains(ctx context.Context) ([]Domain, error) {
	return rows(ctx, s.read, func(row interface{ Scan(...any) error }) (domain Domain, err error) {
		err = row.Scan(&domain.ID, &domain.ZoneID, &domain.Hostname, &domain.Script)
		return domain, err
	}, "SELECT id, zone, hostname, script FROM domains ORDER BY hostname")
}

// PutDomain attaches a host name to a script, taking it from the script that had it.
func (s *Store) PutDomain(ctx context.Context, domain Domain) (Domain, error) {
	err := s.update(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO domains (id, zone, hostname, script) VALUES (?, ?, ?, ?)
			ON CONFLICT (hostname) DO UPDATE SET script = excluded.script RETURNING id, script`,
			domain.ID, domain.ZoneID, domain.Hostname, domain.Script).Scan(&domain.ID, &domain.Script)
	})
	return domain, err
}

// DeleteDomain detaches a host name.
func (s *Store) DeleteDomain(ctx context.Context, id string) error {
	return s.remove(ctx, "DELETE FROM domains WHERE id = ?", id)
}
