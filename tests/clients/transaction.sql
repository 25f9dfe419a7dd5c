BEGIN;
INSERT INTO :"table" (tag, value) VALUES ('psql', :'value');
SELECT value FROM :"table" WHERE tag = 'psql' AND value = :'value';
COMMIT;
