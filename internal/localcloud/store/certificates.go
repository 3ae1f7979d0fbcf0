package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Certificate is a certificate pack of a zone.
type Certificate struct {
	ID        string    `json:"-"`
	ZoneID    string    `json:"-"`
	CreatedAt time.Time `json:"-"`
	Type      string    `json:"type"` // universal or advanced
	Hosts     []string  `json:"hosts"`
	// ReadyAt is when it is active everywhere; until then it goes through Cloudflare's states.
	ReadyAt time.Time `json:"ready"`
	// Refused says why it will never be active; empty when it will.
	Refused      string    `json:"refused,omitempty"`
	IssuedAt     time.Time `json:"issued"`
	ExpiresAt    time.Time `json:"expires"`
	ValidityDays int       `json:"validity_days"`
	Method       string    `json:"method"` // of validation
	PEM          []byte    `json:"pem"`
	Key          []byte    `json:"key"`
}

func scanCertificate(row interface{ Scan(...any) error }) (Certificate, error) {
	certificate := Certificate{}
	var created int64
	var body string
	if err := row.Scan(&certificate.ID, &certificate.ZoneID, &created, &body); err != nil {
		return Certificate{}, notFound(err)
	}
	err := json.Unmarshal([]byte(body), &certificate)
	certificate.CreatedAt = fromMicros(created)
	return certificate, err
}

// Certificates lists all of a zone: the universal one, then the others, oldest first.
func (s *Store) Certificates(ctx context.Context, zone string) ([]Certificate, error) {
	return rows(ctx, s.read, scanCertificate, `SELECT id, zone, created, body FROM certificates WHERE zone = ?
		ORDER BY body->>'type' <> 'universal', created, id`, zone)
}

// PutCertificate creates one or replaces the one with the same ID.
func (s *Store) PutCertificate(ctx context.Context, certificate Certificate) error {
	body, err := json.Marshal(certificate)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO certificates (id, zone, created, body) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET body = excluded.body`, certificate.ID, certificate.ZoneID, toMicros(certificate.CreatedAt), string(body))
		return err
	})
}

// DeleteCertificate removes one of a zone.
func (s *Store) DeleteCertificate(ctx context.Context, zone, id string) error {
	return s.remove(ctx, "DELETE FROM certificates WHERE zone = ? AND id = ?", zone, id)
}

// ZoneSetting is a setting that was changed.
type ZoneSetting struct {
	Value      json.RawMessage
	ModifiedAt time.Time
}

// ZoneSettings are those of a zone that were ever changed, by name.
func (s *Store) ZoneSettings(ctx context.Context, zone string) (map[string]ZoneSetting, error) {
	settings := map[string]ZoneSetting{}
	_, err := rows(ctx, s.read, func(row interface{ Scan(...any) error }) (_ struct{}, err error) {
		var name, value string
		var modified int64
		err = row.Scan(&name, &value, &modified)
		settings[name] = ZoneSetting{Value: json.RawMessage(value), ModifiedAt: fromMicros(modified)}
		return struct{}{}, err
	}, "SELECT name, value, modified FROM zone_settings WHERE zone = ?", zone)
	return settings, err
}

// SetZoneSettings changes all of them or none.
func (s *Store) SetZoneSettings(ctx context.Context, zone string, values map[string]json.RawMessage, at time.Time) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for name, value := range values {
			if _, err := tx.ExecContext(ctx, `INSERT INTO zone_settings (zone, name, value, modified) VALUES (?, ?, ?, ?)
				ON CONFLICT (zone, name) DO UPDATE SET value = excluded.value, modified = excluded.modified`,
				zone, name, string(value), toMicros(at)); err != nil {
				return err
			}
		}
		return nil
	})
}
