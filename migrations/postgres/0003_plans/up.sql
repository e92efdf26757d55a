-- What an account may have: free, pro-individual, pro-organization; and V4 seats beyond those that the plan includes.
-- The defaults are for programs that do not know the columns yet.
ALTER TABLE accounts ADD COLUMN plan TEXT NOT NULL DEFAULT 'free';
ALTER TABLE accounts ADD COLUMN granted_employee_seats BIGINT NOT NULL DEFAULT 0;

-- Accounts from before there were plans keep what they could do.
UPDATE accounts SET plan = 'pro-individual' WHERE kind = 'individual';
UPDATE accounts SET plan = 'pro-organization' WHERE kind = 'organization';
