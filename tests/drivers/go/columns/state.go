package columns

import (
	"errors"
	"fmt"
	"os"
)

var zones = []string{"Asia/Tokyo", "America/Lima", "Europe/Oslo"}

const zone = "SELECT current_setting('TimeZone')"

const shown = `
SELECT current_setting('TimeZone'), current_setting('search_path'),
       current_setting('statement_timeout'), current_setting('drivers.tag'),
       current_setting('application_name')`

// sets: each client keeps what it set, whoever comes between.
func sets(driver Driver) (cell, error) {
	return nil, driver.with(func(first Client) error {
		return driver.with(func(second Client) error {
			return driver.with(func(third Client) error {
				return setting(driver, []Client{first, second, third})
			})
		})
	})
}

func setting(driver Driver, all []Client) error {
	var initial []string
	for index, client := range all {
		rows, err := client.Rows(zone)
		if err != nil {
			return err
		}
		initial = append(initial, rows[0][0])
		if err = set(client, index); err != nil {
			return err
		}
	}
	for number := range 20 {
		for index, client := range all {
			if err := keeps(client, index, number%2 == 0); err != nil {
				return err
			}
		}
	}
	for index, client := range all {
		if err := undoesAndResets(driver, client, zones[index], initial[index]); err != nil {
			return err
		}
	}
	return nil
}

func set(client Client, index int) error {
	return run(client,
		fmt.Sprintf("SET TimeZone = '%s'", zones[index]),
		fmt.Sprintf(`SET search_path TO "$user", "of %d", public`, index),
		fmt.Sprintf("SET SESSION statement_timeout TO %d", 60_001+index),
		fmt.Sprintf("SELECT set_config('drivers.tag', 'it''s %d', false)", index),
		fmt.Sprintf("SET application_name = 'driver %d'", index),
	)
}

func keeps(client Client, index int, inTransaction bool) error {
	check := func() error {
		return shows(client, shown, zones[index], fmt.Sprintf(`"$user", "of %d", public`, index),
			fmt.Sprintf("%dms", 60_001+index), fmt.Sprintf("it's %d", index),
			fmt.Sprintf("driver %d", index))
	}
	if inTransaction {
		return client.Transaction(check)
	}
	return check()
}

func undoesAndResets(driver Driver, client Client, before, initial string) error {
	err := client.Transaction(func() error {
		return run(client, "SET TimeZone = 'Africa/Cairo'", "SELECT 1/0")
	})
	if err = driver.expect(err, "22012"); err != nil {
		return err
	}
	if err = shows(client, zone, before); err != nil {
		return err
	}
	if err = run(client, "RESET TimeZone"); err != nil {
		return err
	}
	return shows(client, zone, initial)
}

func transactions(driver Driver) (cell, error) {
	return nil, driver.withTable("written", "n int", func(client Client, table string) error {
		for range 5 {
			if err := savepoint(driver, client, table); err != nil {
				return err
			}
			if err := rolledBack(driver, client, table); err != nil {
				return err
			}
		}
		counts := fmt.Sprintf("SELECT n, count(*) FROM %s GROUP BY n ORDER BY n", table)
		return shows(client, counts, "1", "5", "3", "5")
	})
}

func savepoint(driver Driver, client Client, table string) error {
	return client.Transaction(func() error {
		err := run(client, fmt.Sprintf("INSERT INTO %s VALUES (1)", table), "SAVEPOINT inner_one",
			fmt.Sprintf("INSERT INTO %s VALUES (2)", table))
		if err != nil {
			return err
		}
		if err = driver.expect(run(client, "SELECT 1/0"), "22012"); err != nil {
			return err
		}
		return run(client, "ROLLBACK TO inner_one", fmt.Sprintf("INSERT INTO %s VALUES (3)", table))
	})
}

func rolledBack(driver Driver, client Client, table string) error {
	return driver.expect(client.Transaction(func() error {
		if err := run(client, fmt.Sprintf("INSERT INTO %s VALUES (4)", table)); err != nil {
			return err
		}
		if err := driver.expect(run(client, "TABLE no_such_table"), "42P01"); err != nil {
			return err
		}
		return run(client, "SELECT 1")
	}), "25P02")
}

// session: what lives on one server connection has to be there later.
func session(driver Driver) (cell, error) {
	return nil, driver.with(func(client Client) error {
		return driver.with(func(other Client) error {
			for _, step := range []func(Client, Client) error{
				tempTable, holdableCursor, advisoryLock, onePid, listens,
			} {
				if err := step(client, other); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func tempTable(client, _ Client) error {
	err := run(client, "CREATE TEMP TABLE mine (n int)")
	for number := range 5 {
		err = errors.Join(err, run(client, fmt.Sprintf("INSERT INTO mine VALUES (%d)", number)))
	}
	return errors.Join(err, shows(client, "SELECT sum(n) FROM mine", "10"),
		run(client, "DROP TABLE mine"))
}

func holdableCursor(client, _ Client) error {
	err := client.Transaction(func() error {
		return run(client, "DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)")
	})
	return errors.Join(err, shows(client, "FETCH 2 FROM held", "1", "2"),
		shows(client, "FETCH ALL FROM held", "3", "4", "5"), run(client, "CLOSE held"))
}

func advisoryLock(client, other Client) error {
	key := fmt.Sprintf("(%d)", os.Getpid())
	err := run(client, "SELECT pg_advisory_lock"+key)
	for range 5 {
		err = errors.Join(err, shows(other, "SELECT pg_try_advisory_lock"+key, "false"))
	}
	return errors.Join(err, shows(client, "SELECT pg_advisory_unlock"+key, "true"),
		shows(other, "SELECT pg_try_advisory_lock"+key, "true"),
		shows(other, "SELECT pg_advisory_unlock"+key, "true"))
}

func onePid(client, _ Client) error {
	return client.Transaction(func() error {
		rows, err := client.Rows("SELECT pg_backend_pid()")
		for range 10 {
			err = errors.Join(err, shows(client, "SELECT pg_backend_pid()", rows[0][0]))
		}
		return err
	})
}

func listens(client, other Client) error {
	channel := fmt.Sprintf("news_%d", os.Getpid())
	wait, err := client.Listen(channel)
	if err != nil {
		return err
	}
	if err = run(other, fmt.Sprintf("NOTIFY %s, 'read this'", channel)); err != nil {
		return err
	}
	payload, err := wait()
	return errors.Join(err, same(payload, "read this"))
}

// loses: an honest error where the server connection ends in a transaction, none of which stays.
func loses(driver Driver) (cell, error) {
	return nil, driver.withTable("lost", "n int", func(client Client, table string) error {
		err := terminated(driver, client, table)
		if err = driver.expect(err, "57P01", "08006", "08003", ""); err != nil {
			return err
		}
		return shows(client, "SELECT count(*) FROM "+table, "0")
	})
}

func terminated(driver Driver, other Client, table string) error {
	client, err := driver.connect()
	if err != nil {
		return err
	}
	lost := client.Transaction(func() error {
		if err := run(client, fmt.Sprintf("INSERT INTO %s VALUES (1)", table)); err != nil {
			return err
		}
		rows, err := client.Rows("SELECT pg_backend_pid()")
		if err != nil {
			return err
		}
		end := fmt.Sprintf("SELECT pg_terminate_backend(%s, 10000)", rows[0][0])
		if err = shows(other, end, "true"); err != nil {
			panic(err)
		}
		return run(client, "SELECT 1")
	})
	if err = client.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "closing a lost connection:", err)
	}
	return lost
}
