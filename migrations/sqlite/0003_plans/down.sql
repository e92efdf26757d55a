ALTER TABLE accounts DROP COLUMN granted_employee_seats;
ALTER TABLE accounts DROP COLUMN plan;
