package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
)

// Identity says who this local Cloudflare is. It is made at the first Open and never changes, so that an environment file
// written once stays true.
type Identity struct {
	AccountID string // 32 hex digits
	Token     string // what API calls must bear
	Subdomain string // the part between the script's name and workers.dev
}

// Identity reads it, and makes it the first time.
func (s *Store) Identity(ctx context.Context) (Identity, error) {
	identity := Identity{}
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		if identity.AccountID, err = settle(ctx, tx, "account", NewID()); err != nil {
			return err
		}
		if identity.Token, err = settle(ctx, tx, "token", "local-"+NewID()); err != nil {
			return err
		}
		identity.Subdomain, err = settle(ctx, tx, "subdomain", "local")
		return err
	})
	if err != nil {
		return Identity{}, fmt.Errorf("read the account's identity: %w", err)
	}
	return identity, nil
}

func settle(ctx context.Context, tx *sql.Tx, name, first string) (value string, err error) {
	if _, err := tx.ExecContext(ctx, "INSERT INTO identity VALUES (?, ?) ON CONFLICT DO NOTHING", name, first); err != nil {
		return "", err
	}
	err = tx.QueryRowContext(ctx, "SELECT value FROM identity WHERE name = ?", name).Scan(&value)
	return value, err
}

// NewID makes an identifier in Cloudflare's older form: 32 hex digits.
func NewID() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:]) // never fails, see crypto/rand
	return hex.EncodeToString(bytes[:])
}

// Port returns the port that an owner had before, 0 if none. Owners are "api", "edge" and "script:NAME".
func (s *Store) Port(ctx context.Context, owner string) (port int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT port FROM ports WHERE owner = ?", owner).Scan(&port)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return port, err
}

// SetPort remembers an owner's port; whoever had it before has lost it.
func (s *Store) SetPort(ctx context.Context, owner string, port int) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM ports WHERE port = ?", port); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ports VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET port = excluded.port", owner, port)
		return err
	})
}

// Ports lists every port that has an owner.
func (s *Store) Ports(ctx context.Context) ([]int, error) {
	return rows(ctx, s.read, func(row interface{ Scan(...any) error }) (port int, err error) {
		err = row.Scan(&port)
		return port, err
	}, "SELECT port FROM ports")
}
