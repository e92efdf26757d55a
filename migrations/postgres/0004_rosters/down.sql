DROP TABLE evidence_withdrawals;
DROP TABLE roster_rows;
DROP TABLE rosters;
