DROP TABLE problem_reports;
